"""`nets report RUN.json ...`: checks runs' files, and prints their tables again, or writes a page, plots or CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from nets.cli.common import Config, limits_of, resolved, say, tell
from nets.errors import Unusable, counted

if TYPE_CHECKING:
    from nets.gate.limits import Limits
    from nets.records.run import Run
    from nets.report.document import Part
    from nets.report.pages.run import Shown

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
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write one page: the first run in full, what changed since the others, each folder's history.",
        ),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", metavar="DIR", help="Write each chart of that page as SVG and as PNG.")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="The data sets' folder: the page shows images of them. [default: no images]"),
    ] = None,
    config: Config = None,
) -> None:
    """Check runs' files against the record's schema and print their tables; or write a page, plots, or CSV."""
    if html == STANDARD_OUTPUT:
        raise Unusable("--html: a page is written into a file; name one")
    for value, option in ((data_dir, "--data-dir"), (config, "--config")):
        if value is not None and (html, plots) == (None, None):
            raise Unusable(f"{option}: it is for a page: with --html or --plots")
    outputs = [output for output in (csv, html) if output is not None and output != STANDARD_OUTPUT]
    _demand_writable(files, outputs)
    if csv is not None:
        _write_csv(files, csv)
    if html is not None or plots is not None:
        _write_page(files, html, plots, data_dir, limits_of(config, None, None), is_quiet=csv == STANDARD_OUTPUT)
    if (csv, html, plots) != (None, None, None):
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


def _demand_writable(files: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Refuse what would be written over, and what can't be written. Raises Unusable."""
    from nets.records.run import is_benchmark_file

    taken = {resolved(file) for file in files}
    for output in outputs:
        if output.is_dir():
            raise Unusable(f"{output}: it is a folder; name a file")
        if resolved(output) in taken:
            raise Unusable(f"{output}: it is named twice, and would be written over")
        taken.add(resolved(output))
        if not output.parent.is_dir():
            raise Unusable(f"{output}: the folder {output.parent} does not exist; make it first")
        if output.is_file() and is_benchmark_file(output):
            raise Unusable(f"{output}: it is a result file, and would be written over")


def _write_page(
    files: Sequence[Path],
    html: Path | None,
    plots: Path | None,
    data_dir: Path | None,
    limits: Limits,
    *,
    is_quiet: bool,
) -> None:
    """`is_quiet`: standard output is taken."""
    from nets.report import engine

    engine.start()
    from nets.history.archive import read_archive
    from nets.history.series import history
    from nets.records import durable
    from nets.records.run import read_run, read_with_bytes, with_subject
    from nets.report.drawing import begun, write_plots
    from nets.report.html import html_text
    from nets.report.pages.page import charts_of, drawn_charts, page

    distinct = list({resolved(file): file for file in reversed(files)}.values())[::-1]
    of_runs = [file for file in distinct if not file.is_dir()]
    first, content = read_with_bytes(of_runs[0]) if of_runs else (None, b"")
    runs = [with_subject(run) for run in ([first] if first else []) + [read_run(file) for file in of_runs[1:]]]
    archives = [(folder, read_archive(folder)) for folder in distinct if folder.is_dir()]
    histories = [(str(folder), history(archive, Path.cwd())) for folder, archive in archives]
    made = page(runs, content, histories, _pictures(runs[0], data_dir) if runs else None, limits)
    if plots is not None:
        durable.make_writable(plots, "--plots")
        written = write_plots(charts_of(made), plots)
        say(f"{plots}: {counted(len(written), 'file')}, an SVG and a PNG of each chart", to_stderr=is_quiet)
    if html is not None:
        durable.write(html, html_text(made, begun(drawn_charts(made))))
        held = [counted(len(runs), "run")] if runs else []
        held += [f"{counted(len(histories), 'folder')} of stored runs"] if histories else []
        say(f"{html}: {', '.join(held)}", to_stderr=is_quiet)


def _pictures(run: Run, data_dir: Path | None) -> Shown | None:
    """What finds the run's pictures: torch and the data sets are loaded for it."""
    if data_dir is None:
        return None
    from nets.datasets.pictures import pictures_of

    return pictures_of(run.cells, data_dir)


def _write_csv(files: Sequence[Path], output: Path) -> None:
    from nets.records import durable
    from nets.report.csv_table import csv_text, run_rows

    of_runs = list(_each(files, lambda run: tuple(run_rows(run))))
    text = csv_text(row for rows in of_runs for row in rows)
    if output == STANDARD_OUTPUT:
        typer.echo(text, nl=False)
        return
    durable.write(output, text)
    say(f"{output}: {counted(sum(map(len, of_runs)), 'row')} of {counted(len(of_runs), 'run')}")


def _each(files: Sequence[Path], make: Callable[[Run], T]) -> Iterator[T]:
    """What is made of each run, in the order given, each file once. Raises Unusable.

    A file below a folder that is no run's is named on standard error, and passed over.
    """
    from nets.history.archive import each_run_below
    from nets.records.run import read_run

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
            say(f"passed over: {sentence}", to_stderr=True)
        yield from (each for found in below for each in found)
