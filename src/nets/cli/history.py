"""`nets history DIR`: every stored run, trends by commit, and the commits where they change."""

from __future__ import annotations

import sys
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nets.cli.common import Cells, Json, resolved
from nets.errors import Unusable

if TYPE_CHECKING:
    from nets.records.metrics import Worse

EXPORTS: dict[str, Worse] = {"smaller-is-better.json": "more", "bigger-is-better.json": "less"}


def history(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Searched for result files, with all folders in it.")],
    cells: Cells = None,
    metric: Annotated[str | None, typer.Option(help="total_s, accuracy, ..., comma-separated; all by default.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show lines without a change, too.")] = False,
    json_file: Json = None,
    export: Annotated[
        Path | None,
        typer.Option(help="A folder for the newest commit in github-action-benchmark's custom JSON, two files."),
    ] = None,
) -> None:
    """Show how each cell's figures went from commit to commit, and where they changed.

    DIR holds what --benchmark-autosave or --benchmark-json wrote. Whatever changed, that is no verdict, and exit 0.
    """
    from nets.history.archive import read_archive
    from nets.history.series import history as history_of
    from nets.records import durable
    from nets.report.action_benchmark import entries
    from nets.report.history import history_lines
    from nets.report.text import json_text

    outputs = [*([json_file] if json_file else []), *(export / name for name in EXPORTS if export)]
    _demand_free(outputs)
    found = history_of(read_archive(folder, without=outputs), Path.cwd(), _names(cells), _names(metric))
    contents: dict[Path, dict[str, Any] | list[Any]] = {} if json_file is None else {json_file: found.to_json()}
    if export is not None:
        durable.make_writable(export, "--export")
        contents |= {export / name: entries(found, worse) for name, worse in EXPORTS.items()}
    for path, content in contents.items():
        durable.write(path, json_text(content))
    width, color = get_terminal_size().columns, sys.stdout.isatty()
    typer.echo("\n".join(history_lines(found, width=width, color=color, everything=everything)))


def _names(text: str | None) -> tuple[str, ...]:
    """The names of a comma-separated option. Raises Unusable for one that names nothing."""
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise Unusable("--cells and --metric name something, or are left out")
    return names


def _demand_free(outputs: list[Path]) -> None:
    """Refuse to write over a result file, or twice over one. Raises Unusable."""
    from nets.records.run import is_benchmark_file

    if len({resolved(output) for output in outputs}) < len(outputs):
        raise Unusable(f"{outputs[0]}: it is named twice, and would be written over")
    for output in outputs:
        if output.is_file() and is_benchmark_file(output):
            raise Unusable(f"{output}: it is a result file, and would be written over")
