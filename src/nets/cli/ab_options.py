"""What `nets ab` and `nets bisect` share: their options, and how these are read."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated

import typer

from nets.errors import Unusable

if TYPE_CHECKING:
    from nets.ab.compare import Comparison, Interpreter
    from nets.gate.limits import Limits

DEFAULT_ROUNDS = 3
PytestArguments = Annotated[list[str] | None, typer.Argument(help="After `--`: more of pytest's options.")]
Protocol = Annotated[str | None, typer.Option(help="quick or article.")]
Pipeline = Annotated[str | None, typer.Option(help="resident or article.")]
DeviceName = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Tests = Annotated[str, typer.Option(help="What pytest runs, within each revision.")]
MaxSittings = Annotated[int, typer.Option(min=1, max=300, help="Starts of both sides at most, each time.")]
MaxMinutes = Annotated[float, typer.Option(min=0.1, max=10_000, help="A comparison ends by then, decided or not.")]
RestartEvery = Annotated[
    int | None,
    typer.Option(min=1, max=100, help="Rounds a start of both sides; by default those of a second."),
]
Seed = Annotated[int, typer.Option(min=0, max=2**31, help="Round i uses this + i, on both sides.")]


def comparison(
    *,
    cells: str | None,
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

    return Comparison(
        settings=AbSettings(
            cells=tuple(cells.split(",")) if cells is not None else (),
            n_rounds=restart_every or DEFAULT_ROUNDS,
            adapts=restart_every is None,
            max_sittings=max_sittings,
            max_s=60 * max_minutes,
            seed=seed,
            limits=limits,
        ),
        arguments=_arguments(tests, settings, data_dir, pytest_args),
        tests=tests,
        interpreters=(_interpreter(pythons[0], "--python-a"), _interpreter(pythons[1], "--python-b")),
        out=out.absolute(),
    )


def _arguments(tests: str, how: dict[str, str | None], data_dir: Path, others: list[str]) -> tuple[str, ...]:
    """pytest's, the same for both sides; paths made absolute, since each side runs in a folder of its own."""
    named = {name: value for name, value in how.items() if value is not None}
    with suppress(RuntimeError):  # no such user: no such folder
        data_dir = data_dir.expanduser()
    if data_dir.is_dir():
        named["data-dir"] = str(data_dir.resolve())
    elif data_dir != Path("data"):
        raise Unusable(f"--data-dir: {data_dir} is not a folder")
    for refused in ("--rounds", "--seed", "--benchmark-json", "--resume", "--keep-traces"):
        if any(other.partition("=")[0] == refused for other in others):
            raise Unusable(f"{refused}: not for pytest within nets ab; see its own --restart-every, --seed and --out")
    if any("nets_bands" in other for other in others):
        raise Unusable("nets_bands: a side's bands are those of bands.toml beside its --tests")
    return (tests, "-p", "no:cacheprovider", *(f"--{name}={value}" for name, value in named.items()), *others)


def _interpreter(path: Path | None, option: str) -> Interpreter:
    """An interpreter by its path, not through links (a virtual environment's is one), or by its name; else this one."""
    from nets.ab.compare import Interpreter

    if path is None:
        return Interpreter(Path(sys.executable))
    found = which(str(path))
    return Interpreter(Path(found).absolute() if found else path.absolute(), option)
