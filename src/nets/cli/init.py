"""`nets init [DIR]`: writes what another repository needs to run the benchmark and to be gated by it."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated

import typer

from nets.cli.common import Json, beside_json, demand_writable, write_json
from nets.errors import Exit, Unusable, counted

if TYPE_CHECKING:
    from nets.cli.scaffold.originals import Filling
    from nets.cli.scaffold.plan import Change

EMBEDDED = "digits-snn500,digits-lenet5"
"""Cells whose data need no download."""


class Ci(StrEnum):
    """Whose workflows there are; typer takes a Literal from 0.19 on, and an older one is supported."""

    GITHUB = "github"
    NONE = "none"


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The root of a git repository.")] = Path(),
    nets: Annotated[str | None, typer.Option("--nets", help="A file or module with networks of its own.")] = None,
    cells: Annotated[
        str | None,
        typer.Option("--cells", help="Exact ids, comma-separated, for the workflow; by default those of --nets."),
    ] = None,
    benchmarks: Annotated[str, typer.Option("--folder", help="Where the benchmark goes.")] = "benchmarks",
    ci: Annotated[Ci, typer.Option(help="Whose workflows are written.")] = Ci.GITHUB,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: name what is missing or outdated, and exit with 1 for it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Change files that are there without asking.")] = False,
    json_file: Json = None,
) -> None:
    """Write what a repository needs: a line in conftest.py, the benchmark, bands, limits, workflows, .gitignore.

    A plain `pytest` there stays as it was. What would change a file that is there is shown first, and asked about;
    limits and bands are the repository's own from the first time on. Files with changes that no commit has are left
    alone. Twice changes nothing.
    """
    from nets.cli.scaffold import place, plan
    from nets.records import durable

    if json_file is not None and not check:
        raise Unusable("--json needs --check, which finds something to write; without it files are made, and named")
    demand_writable(json_file)
    root = place.repository(folder)
    filling = _filling(root, nets, cells, benchmarks)
    all_names = plan.names(filling, with_workflows=ci == Ci.GITHUB)
    place.demand_inside(root, all_names)
    changes = plan.planned(root, filling, with_workflows=ci == Ci.GITHUB)
    if check:
        with beside_json(json_file):
            _tell_of(changes)
        found = [{"file": each.name, "is_new": each.is_new, "because": each.because} for each in changes]
        write_json(json_file, {"schema": 1, "kind": "init", "changes": found})
        raise typer.Exit(Exit.REGRESSED if changes else Exit.FINE)
    if not changes:
        typer.echo("everything is there; nothing is changed")
        return
    _show(changes)
    over = [change for change in changes if not change.is_new]
    if lost := place.uncommitted(root, [change.name for change in over]):
        raise Unusable(f"{', '.join(lost)}: no commit has what is there now: commit it, then run nets init again")
    place.demand_writable(root, [change.name for change in changes])
    if any(change.name == "conftest.py" for change in changes) and (because := place.clash(root)) is not None:
        raise Unusable(f"with the suite, pytest would no longer start here, and nothing is written: {because}")
    if over and not yes:
        _ask(over)
    for change in changes:
        path = root / change.name
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write(path, change.after)
        if change.is_program:
            path.chmod(plan.EXECUTABLE)
    typer.echo(f"{counted(len(changes), 'file')} written")
    if hidden := place.ignored(root, [change.name for change in changes]):
        typer.echo(f"git ignores {', '.join(hidden)}: add {'it' if len(hidden) == 1 else 'them'} with -f", err=True)
    for line in _next(folder, filling, changes, ci == Ci.GITHUB):
        typer.echo(line)


def _filling(root: Path, nets: str | None, cells: str | None, benchmarks: str) -> Filling:
    """What the options say, else the workflow that is there; cells are looked up. Raises Unusable, Undeclared."""
    from nets.cli.scaffold import originals, place

    if not re.fullmatch(r"[\w-]+(/[\w-]+)*", benchmarks):
        raise Unusable(f"--folder {benchmarks}: name a folder within the repository, by letters, digits, - and _")
    there = root / originals.GATE
    before = originals.choices(there.read_text(errors="replace")) if there.is_file() else (None, None)
    if nets is not None:
        nets = _within(root, nets)
        cells = _declared(root, nets, cells)
    elif cells is not None:
        cells = _declared(root, before[0], cells)
    return originals.Filling(
        folder=benchmarks,
        nets=nets if nets is not None else before[0],
        cells=cells or before[1] or EMBEDDED,
        install=place.installs(root),
        has_submodules=(root / ".gitmodules").is_file(),
    )


def _within(root: Path, nets: str) -> str:
    """Networks as they are named from the repository's root. Raises Unusable for a file that is not in it."""
    if not nets.endswith(".py") and os.sep not in nets:
        return nets
    for path in (root / nets, Path.cwd() / nets):
        if path.is_file() and path.resolve().is_relative_to(root):
            return path.resolve().relative_to(root).as_posix()
    raise Unusable(f"--nets {nets}: there is no such file in {root}; CI has only what lies in the repository")


def _declared(root: Path, nets: str | None, cells: str | None) -> str:
    """The cells that were named, all of them known; without a name those that the networks are declared for."""
    from nets.cells.catalog import CELLS, select
    from nets.cells.registry import known_cells

    here = Path.cwd()
    os.chdir(root)
    try:
        known = known_cells([nets] if nets is not None else [])
    finally:
        os.chdir(here)
    if cells is not None:
        return ",".join(cell.id for cell in select(cells, known))
    own = [cell.id for cell in known if cell.build is not None and cell not in CELLS]
    return ",".join(own)


def _tell_of(changes: Sequence[Change]) -> None:
    for change in changes:
        typer.echo(f"{change.name}: {change.because}")
    if not changes:
        typer.echo("everything is there, and as this version of nets would write it")


def _show(changes: Sequence[Change]) -> None:
    """A line for each new file, the difference of each that is there."""
    for change in changes:
        if change.is_new:
            typer.echo(f"new: {change.name} ({counted(change.after.count(chr(10)), 'line')})")
    for change in changes:
        if not change.is_new:
            for line in change.difference():
                typer.echo("".join(each if each.isprintable() or each == "\t" else "�" for each in line))


def _ask(over: Sequence[Change]) -> None:
    """Ask whether files that are there may be changed. Raises Unusable without a terminal, Abort for a no."""
    named = ", ".join(change.name for change in over)
    if not is_asked_on_a_terminal():
        raise Unusable(f"{named}: there already, and would change as shown; nothing is written. To have it so: --yes")
    if not typer.confirm(f"Change {named} as shown?"):
        raise Unusable("nothing is written")


def is_asked_on_a_terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty()


def _next(folder: Path, filling: Filling, changes: Sequence[Change], with_workflows: bool) -> list[str]:
    """What to run next."""
    there = [] if folder == Path() else [shlex.join(["cd", str(folder)])]
    command = ["nets"] if which("nets") else [sys.executable, "-m", "nets"]
    cells = [*([] if filling.nets is None else [f"--nets={filling.nets}"]), "--cells", filling.cells]
    tests = ["--tests", str(filling.folder)] if filling.folder != "benchmarks" else []
    lines = [
        *there,
        shlex.join(["pytest", str(filling.folder), *cells]),
        f"git add {shlex.join(change.name for change in changes)} && git commit -m 'A benchmark, and its gate'",
        shlex.join([*command, "ab", "HEAD", ".", *tests, *cells, "--config", f"{filling.folder}/gate.toml"]),
    ]
    after = ["then, for the runner and the required status: docs/ci.md of pytest-nets"] if with_workflows else []
    return ["next:", *(f"  {line}" for line in lines), *after]
