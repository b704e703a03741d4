"""`nets report RUN.json ...`: checks runs' files, and prints their tables again, or writes a page, plots or CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from nets.cli.common import (
    STANDARD_OUTPUT,
    Config,
    Json,
    beside_json,
    demand_writable,
    limits_of,
    resolved,
    say,
    tell,
    write_json,
)
from nets.errors import Unusable, counted

if TYPE_CHECKING:
    from nets.gate.limits import Limits
    from nets.records.run import Run
    from nets.report.csv_table import Row
    from nets.report.document import Part
    from nets.report.pages.run import Shown

T = TypeVar("T")


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
    json_file: Json = None,
) -> None:
    """Check runs' files against the record's schema and print their tables; or write a page, plots, or CSV."""
    if html == STANDARD_OUTPUT:
        raise Unusable("--html: a page is written into a file; name one")
    for value, option in ((data_dir, "--data-dir"), (config, "--config")):
        if value is not None and (html, plots) == (None, None):
            raise Unusable(f"{option}: it is for a page: with --html or --plots")
    demand_writable(csv, html, json_file, read=[*files, *filter(None, [config])])
    with_tables, with_rows = (csv, html, plots) == (None, None, None), (csv, json_file) != (None, None)
    told = list(_each(files, lambda run: _told(run, with_tables, with_rows))) if with_tables or with_rows else []
    with beside_json(json_file):
        if csv is not None:
            _write_csv(told, csv)
        if html is not None or plots is not None:
            _write_page(files, html, plots, data_dir, limits_of(config, None, None), is_quiet=csv == STANDARD_OUTPUT)
        if with_tables:
            _tell_tables(told)
    if json_file is not None:
        from nets.report.csv_table import json_rows

        rows = json_rows(row for each in told for row in each.rows)
        write_json(json_file, {"schema": 1, "kind": "report", "rows": rows})


@dataclass(frozen=True, slots=True)
class _Told:
    """What is said of a run: its tables, and a row for each cell and metric, as far as they are wanted."""

    source: str
    parts: tuple[Part, ...]
    rows: tuple[Row, ...]


def _told(run: Run, with_tables: bool, with_rows: bool) -> _Told:
    rows: tuple[Row, ...] = ()
    if with_rows:
        from nets.report.csv_table import run_rows

        rows = tuple(run_rows(run))
    return _Told(run.source, tuple(_parts(run)) if with_tables else (), rows)


def _tell_tables(told: Sequence[_Told]) -> None:
    from nets.report.document import Section

    if len(told) == 1:
        tell(told[0].parts)
    else:
        tell(Section(each.source, each.parts) for each in told)


def _parts(run: Run) -> list[Part]:
    """The run's table with what stands below it."""
    from nets.report.document import Sentence
    from nets.report.run import growth, not_run, run_parts, side_by_side

    cells = run_parts(run.cells) or [Sentence("No cell was measured.")]
    parts = [*cells, *side_by_side(run.side_by_side), *growth(run.growth), *not_run(run.not_run)]
    return [*parts, *([] if run.harness is None else [Sentence(str(run.harness))])]


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
    from nets.records.run import with_subject
    from nets.records.run_file import read_run, read_with_bytes
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


def _write_csv(told: Sequence[_Told], output: Path) -> None:
    from nets.records import durable
    from nets.report.csv_table import csv_text

    rows = [row for each in told for row in each.rows]
    text = csv_text(rows)
    if output == STANDARD_OUTPUT:
        typer.echo(text, nl=False)
        return
    durable.write(output, text)
    say(f"{output}: {counted(len(rows), 'row')} of {counted(len(told), 'run')}")


def _each(files: Sequence[Path], make: Callable[[Run], T]) -> Iterator[T]:
    """What is made of each run, in the order given, each file once. Raises Unusable.

    A file below a folder that is no run's is named on standard error, and passed over.
    """
    from nets.history.archive import each_run_below
    from nets.records.run_file import read_run

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
