"""`nets gate BASE.json HEAD.json`: reads two files, prints the findings, and exits by them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nets.cli.common import Allow, Cells, Config, Json, Limit, Markdown, judge_files, limits_of


def gate(
    base: Annotated[Path, typer.Argument(help="The run to hold HEAD against: a file of --benchmark-json.")],
    head: Annotated[Path, typer.Argument(help="The run to judge.")],
    cells: Cells = None,
    config: Config = None,
    limit: Limit = None,
    allow: Allow = None,
    markdown: Markdown = None,
    json_file: Json = None,
) -> None:
    """Hold one run against another: time, accuracy, GPU, memory, energy, the network.

    Where several exit codes apply, the first of 2, 1, 3, 0 does.
    """
    chosen = () if cells is None else tuple(cells.split(","))
    raise typer.Exit(judge_files(base, head, limits_of(config, limit, allow), markdown, json_file, chosen))
