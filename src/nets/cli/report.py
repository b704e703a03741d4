"""`nets report RUN.json`: checks a run's file, and prints its table again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nets.cli.common import tell


def report(
    file: Annotated[Path, typer.Argument(help="What `pytest benchmarks/ --benchmark-json FILE` wrote.")],
) -> None:
    """Check a run's file against the record's schema and print its table."""
    from nets.records.run import read_run
    from nets.report.document import Sentence
    from nets.report.run import growth, not_run, run_parts, side_by_side

    run = read_run(file)
    parts = [*run_parts(run.cells), *side_by_side(run.side_by_side), *growth(run.growth), *not_run(run.not_run)]
    tell([*parts, *([] if run.harness is None else [Sentence(str(run.harness))])])
