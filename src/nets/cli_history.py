"""`nets history DIR`: every stored run, trends by commit, and the commits where they change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nets.history.records import History
    from nets.records.metrics import Worse

UNUSABLE = 3
EXPORTS: dict[str, Worse] = {"smaller-is-better.json": "more", "bigger-is-better.json": "less"}


def history(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Searched for result files, with all folders in it.")],
    cells: Annotated[str | None, typer.Option(help="Exact ids, comma-separated; all by default.")] = None,
    metric: Annotated[str | None, typer.Option(help="total_s, accuracy, ..., comma-separated; all by default.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show lines without a change, too.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every line, with its points.")] = None,
    export: Annotated[
        Path | None,
        typer.Option(help="A folder for the newest commit in github-action-benchmark's custom JSON, two files."),
    ] = None,
) -> None:
    """Show how each cell's figures went from commit to commit, and where they changed.

    DIR holds what --benchmark-autosave or --benchmark-json wrote. Exit 0, whatever changed; 3: no file there, or an
    option, is usable.
    """
    from shutil import get_terminal_size
    from sys import stdout

    from nets.errors import Unusable
    from nets.history.archive import read_archive
    from nets.history.series import history as history_of
    from nets.report.history import history_lines
    from nets.report.text import plain

    outputs = [*([json_file] if json_file else []), *(export / name for name in EXPORTS if export)]
    try:
        _demand_free(outputs)
        found = history_of(read_archive(folder, without=outputs), Path.cwd(), _names(cells), _names(metric))
        _write(found, json_file, export)
    except Unusable as error:
        typer.echo(f"nets history: {plain(str(error), 1_000)}", err=True)
        raise typer.Exit(UNUSABLE) from None
    width = get_terminal_size().columns
    typer.echo("\n".join(history_lines(found, width=width, color=stdout.isatty(), everything=everything)))


def _names(text: str | None) -> tuple[str, ...]:
    """The names of a comma-separated option. Raises Unusable for one that names nothing."""
    from nets.errors import Unusable

    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise Unusable("--cells and --metric name something, or are left out")
    return names


def _demand_free(outputs: list[Path]) -> None:
    """Refuse to write over a result file, or twice over one. Raises Unusable."""
    from nets.errors import Unusable
    from nets.history.archive import is_benchmark_file

    if len({output.resolve() for output in outputs}) < len(outputs):
        raise Unusable(f"{outputs[0]}: it is named twice, and would be written over")
    for output in outputs:
        if output.is_file() and is_benchmark_file(output):
            raise Unusable(f"{output}: it is a result file, and would be written over")


def _write(found: History, json_file: Path | None, export: Path | None) -> None:
    """Write what was asked for. Raises Unusable where it can't be."""
    from nets.errors import Unusable
    from nets.report.action_benchmark import entries

    contents: dict[Path, object] = {} if json_file is None else {json_file: found.to_json()}
    if export is not None:
        contents |= {export / name: entries(found, worse) for name, worse in EXPORTS.items()}
    for path, content in contents.items():
        try:
            if path.parent == export:
                path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise Unusable(f"{path}: it can't be written: {error.strerror}") from error
