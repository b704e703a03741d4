"""`nets history DIR`: every stored run, trends by commit, and the commits where they change."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Self, TextIO

import typer

from nets.cli.common import Cells, Json, beside_json, demand_no_result, demand_writable, tell, write_json
from nets.errors import Unusable

if TYPE_CHECKING:
    from nets.records.metrics import Worse

SHOWN_AFTER_S = 1.0
"""Where somebody is watching: what takes no longer needs no line."""
REWRITTEN_EVERY_S = 0.2
LOGGED_EVERY_S = 10.0
LOGGED_EVERY = 500
EXPORTS: dict[str, Worse] = {"smaller-is-better.json": "more", "bigger-is-better.json": "less"}


def history(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Searched for result files, with all folders in it.")],
    cells: Cells = None,
    metric: Annotated[str | None, typer.Option(help="total_s, accuracy, ..., comma-separated; all by default.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show lines without a change, too.")] = False,
    since: Annotated[
        str | None, typer.Option(help="A date (2026-10-01) or a revision: what is older is left out.", metavar="WHEN")
    ] = None,
    last: Annotated[int | None, typer.Option(help="Only the last N commits.", min=1, metavar="N")] = None,
    branch: Annotated[
        str | None,
        typer.Option(help="Only commits that can be reached from it; those that git doesn't know, if measured on it."),
    ] = None,
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
    from nets.history.selection import Selection
    from nets.history.series import history as history_of
    from nets.records import durable
    from nets.report.action_benchmark import entries
    from nets.report.history import history_parts
    from nets.report.screen import screen_of
    from nets.report.text import json_text

    exports = {} if export is None else {export / name: worse for name, worse in EXPORTS.items()}
    demand_writable(json_file, read=exports)
    for path in exports:
        demand_no_result(path)
    outputs = [*exports, *([] if json_file is None else [json_file])]
    selection = Selection(since=since, last=last, branch=branch)
    with _uncollected(), Progress(sys.stderr) as progress:
        archive = read_archive(folder, outputs, progress)
        found = history_of(archive, Path.cwd(), _names(cells), _names(metric), selection, progress)
    if export is not None:
        durable.make_writable(export, "--export")
    with beside_json(json_file):
        tell(history_parts(found, width=screen_of(sys.stdout).width, everything=everything))
    write_json(json_file, found.to_json())
    for path, worse in exports.items():
        durable.write(path, json_text(entries(found, worse)))


class Progress:
    """How far the command has come: a line that is rewritten on a terminal; in a log, one now and then.

    In a log there is one each 10 s, and each 500 files if there are more. What is short has none.
    """

    def __init__(self, stream: TextIO) -> None:
        from nets.report.screen import UNKNOWN_WIDTH, screen_of

        screen = screen_of(stream)
        self._stream = stream
        self._is_watched = screen.is_live
        self._width = screen.width or UNKNOWN_WIDTH
        self._written = perf_counter() + (SHOWN_AFTER_S - REWRITTEN_EVERY_S if self._is_watched else 0.0)
        self._is_on_line = False

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say it, if it is time to."""
        waited = perf_counter() - self._written
        text = f"nets history: {done:,} of {total:,} {what}"
        if self._is_watched and waited >= REWRITTEN_EVERY_S:
            self._say(f"\r\x1b[K{text[: self._width - 1]}")
            self._is_on_line = True
        elif not self._is_watched and (waited >= LOGGED_EVERY_S or (done > 0 and done % LOGGED_EVERY == 0)):
            self._say(f"{text}\n")

    def _say(self, text: str) -> None:
        self._written = perf_counter()
        self._stream.write(text)
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the line empty, whatever ends the command."""
        if self._is_on_line:
            self._say("\r\x1b[K")


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for circular garbage: there is hardly any, and what is kept would be searched each time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _names(text: str | None) -> tuple[str, ...]:
    """The names of a comma-separated option. Raises Unusable for one that names nothing."""
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise Unusable("--cells and --metric name something, or are left out")
    return names
