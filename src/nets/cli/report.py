"""`nets report RUN.json`: checks a run's file, and prints its table again."""

from __future__ import annotations

import sys
from pathlib import Path
from shutil import get_terminal_size
from typing import Annotated

import typer


def report(
    file: Annotated[Path, typer.Argument(help="What `pytest benchmarks/ --benchmark-json FILE` wrote.")],
) -> None:
    """Check a run's file against the record's schema and print its table."""
    from nets.records.run import read_run
    from nets.report.run import growth_lines, not_run_lines, run_lines, side_by_side_lines
    from nets.report.text import harmless, plain

    run = read_run(file)
    results = [harmless(result) for result in run.cells]
    lines = run_lines(results, width=get_terminal_size().columns, color=sys.stdout.isatty())
    lines += [*side_by_side_lines(map(harmless, run.side_by_side)), *growth_lines(map(harmless, run.growth))]
    lines += not_run_lines((plain(cell), plain(because)) for cell, because in run.not_run)
    lines += [] if run.harness is None else [str(run.harness)]
    typer.echo("\n".join(lines))
