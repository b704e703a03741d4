"""`nets report RUN.json ...`: checks runs' files, and prints their tables again, or writes them as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from nets.cli.common import resolved, tell
from nets.errors import Unusable, counted

if TYPE_CHECKING:
    from nets.records.run import Run
    from nets.report.document import Part

T = TypeVar("T")
STANDARD_OUTPUT = Path("-")


def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN.json|DIR ...",
            help="What `pytest benchmarks/ --benchmark-json FILE` wrote; a folder for all such files below it.",
        ),
    ],
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write a row a cell and metric, with unit, n, standard deviation and commit; - for standard output.",
        ),
    ] = None,
) -> None:
    """Check runs' files against the record's schema and print their tables, or write all of them as one CSV file."""
    if csv is not None:
        _write_csv(files, csv)
        return
    from nets.report.document import Section

    of_runs = list(_each(files, lambda run: (run.source, _parts(run))))
    if len(of_runs) == 1:
        tell(of_runs[0][1])
    else:
        tell(Section(source, tuple(parts)) for source, parts in of_runs)


def _parts(run: Run) -> list[Part]:
    """The run's table with what stands below it."""
    from nets.report.document import Sentence
    from nets.report.run import growth, not_run, run_parts, side_by_side

    parts = [*run_parts(run.cells), *side_by_side(run.side_by_side), *growth(run.growth), *not_run(run.not_run)]
    return [*parts, *([] if run.harness is None else [Sentence(str(run.harness))])]


def _write_csv(files: Sequence[Path], output: Path) -> None:
    from nets.records import durable
    from nets.records.run import is_benchmark_file
    from nets.report.csv_table import csv_text, run_rows

    if output != STANDARD_OUTPUT:
        if not output.parent.is_dir():
            raise Unusable(f"{output}: the folder {output.parent} does not exist; make it first")
        if output.is_file() and is_benchmark_file(output):
            raise Unusable(f"{output}: it is a result file, and would be written over")
    of_runs = list(_each(files, lambda run: tuple(run_rows(run))))
    text = csv_text(row for rows in of_runs for row in rows)
    if output == STANDARD_OUTPUT:
        typer.echo(text, nl=False)
        return
    durable.write(output, text)
    typer.echo(f"{output}: {counted(sum(map(len, of_runs)), 'row')} of {counted(len(of_runs), 'run')}")


def _each(files: Sequence[Path], make: Callable[[Run], T]) -> Iterator[T]:
    """What is made of each run, in the order given, each file once. Raises Unusable.

    A file below a folder that is no run's is named on standard error, and passed over.
    """
    from nets.history.archive import each_run_below
    from nets.records.run import read_run
    from nets.report.text import plain

    seen: set[Path] = set()

    def made(path: Path) -> list[T]:
        if (real := resolved(path)) in seen:
            return []
        seen.add(real)
        return [make(read_run(path))]

    for path in files:
        if not path.is_dir():
            yield from made(path)
            continue
        below, passed_over = each_run_below(path, made)
        for sentence in passed_over:
            typer.echo(f"passed over: {plain(sentence, 1_000)}", err=True)
        yield from (each for found in below for each in found)
