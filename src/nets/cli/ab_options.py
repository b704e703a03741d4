"""What `nets ab` and `nets bisect` share: their options, and how these are read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated

import typer

from nets.errors import Unusable
from nets.records.git import git

if TYPE_CHECKING:
    from nets.ab.compare import Comparison, Interpreter
    from nets.gate.limits import Limits

MOST_ROUNDS = 12
"""Of a sitting by default: on a shared host a pair of short rounds says little, the middle of twelve much more."""
PytestArguments = Annotated[list[str] | None, typer.Argument(help="After `--`: more of pytest's options.")]
Protocol = Annotated[str | None, typer.Option(help="quick or article.")]
Pipeline = Annotated[str | None, typer.Option(help="resident or article.")]
DeviceName = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Nets = Annotated[
    list[str] | None,
    typer.Option("--nets", help="A file or module with networks: each side's own. May be given several times."),
]
Tests = Annotated[str, typer.Option(help="What pytest runs, within each revision.")]
MaxSittings = Annotated[int, typer.Option(min=1, max=300, help="Starts of both sides at most, each time.")]
MaxMinutes = Annotated[float, typer.Option(min=0.1, max=10_000, help="A comparison ends by then, decided or not.")]
RestartEvery = Annotated[
    int | None,
    typer.Option(min=1, max=100, help="Rounds a start of both sides; by default those of a second, 12 at most."),
]
Seed = Annotated[int, typer.Option(min=0, max=2**31, help="Round i uses this + i, on both sides.")]


def comparison(
    *,
    cells: str | None,
    nets: list[str] | None,
    settings: dict[str, str | None],
    pytest_args: list[str],
    data_dir: Path,
    tests: str,
    pythons: tuple[Path | None, Path | None],
    max_sittings: int,
    max_minutes: float,
    restart_every: int | None,
    seed: int,
    out: Path,
    limits: Limits,
) -> Comparison:
    """What the options ask for. Raises Unusable."""
    from nets.ab.compare import Comparison
    from nets.ab.sittings import AbSettings
    from nets.records.run_file import MAX_ROUNDS

    return Comparison(
        settings=AbSettings(
            cells=tuple(cells.split(",")) if cells is not None else (),
            n_rounds=restart_every or min(MOST_ROUNDS, MAX_ROUNDS // max_sittings),
            adapts=restart_every is None,
            max_sittings=max_sittings,
            max_s=60 * max_minutes,
            seed=seed,
            limits=limits,
        ),
        arguments=_arguments(tests, [*map(_network, nets or ())], settings, data_dir, pytest_args),
        tests=tests,
        interpreters=(_interpreter(pythons[0], "--python-a"), _interpreter(pythons[1], "--python-b")),
        out=out.absolute(),
    )


def _network(source: str) -> str:
    """A file or module as both sides are told: a file of the repository from the folder of the call, another whole.

    So that each side imports its own: `nets ab` runs it in the same folder of its worktree.
    """
    if not source.endswith(".py") and os.sep not in source:
        return source
    path = Path(source)
    with suppress(RuntimeError):  # no such user: no such file
        path = path.expanduser()
    whole = Path(os.path.normpath(Path.cwd() / path))
    try:
        root = Path(git("rev-parse", "--show-toplevel"))
    except Unusable:  # no repository, as the comparison will say
        return str(whole)
    for place in (whole, Path(os.path.realpath(whole))):
        if place.is_relative_to(root):
            return os.path.relpath(place, root / git("rev-parse", "--show-prefix"))
    if not whole.is_file():
        raise Unusable(f"--nets: {source}: there is no such file")
    return str(whole)


def _arguments(
    tests: str, nets: list[str], how: dict[str, str | None], data_dir: Path, others: list[str]
) -> tuple[str, ...]:
    """pytest's, the same for both sides; paths made absolute, since each side runs in a folder of its own."""
    named = {name: value for name, value in how.items() if value is not None}
    with suppress(RuntimeError):  # no such user: no such folder
        data_dir = data_dir.expanduser()
    if data_dir.is_dir():
        named["data-dir"] = str(data_dir.resolve())
    elif data_dir != Path("data"):
        raise Unusable(f"--data-dir: {data_dir} is not a folder")
    for refused in (
        "--rounds", "--seed", "--benchmark-json", "--resume", "--keep-traces", "--report", "--shard", "--gate",
    ):  # fmt: skip
        if any(other.partition("=")[0] == refused for other in others):
            raise Unusable(f"{refused}: not for pytest within nets ab; see its own --restart-every, --seed and --out")
    if any("nets_bands" in other for other in others):
        raise Unusable("nets_bands: a side's bands are those of bands.toml beside its --tests")
    own = [f"--nets={source}" for source in nets]
    return (tests, "-p", "no:cacheprovider", *own, *(f"--{name}={value}" for name, value in named.items()), *others)


def _interpreter(path: Path | None, option: str) -> Interpreter:
    """An interpreter by its path, not through links (a virtual environment's is one), or by its name; else this one."""
    from nets.ab.compare import Interpreter

    if path is None:
        return Interpreter(Path(sys.executable))
    found = which(str(path))
    return Interpreter(Path(found).absolute() if found else path.absolute(), option)


def is_pytest_s(option: str) -> bool:
    """Whether pytest, with the suite and what else is loaded here, has an option of that name, by its own help."""
    command = [sys.executable, "-m", "pytest", "-p", "nets.plugin", "-p", "no:cacheprovider", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    return re.search(rf"(?m)^ +(-\S+, )*{re.escape(option)}(?![\w-])", done.stdout) is not None
