"""`nets ab BASE HEAD`: measures two revisions, or two interpreters, in turns; then it is the gate's to judge."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from shutil import get_terminal_size, which
from typing import TYPE_CHECKING, Annotated

import typer

from nets.cli.common import (
    Allow,
    Cells,
    Config,
    DataDir,
    Json,
    Limit,
    Markdown,
    judge_files,
    limits_of,
    refuse_overwriting,
)
from nets.errors import Exit, NetsError, Unusable

if TYPE_CHECKING:
    from nets.verdicts.bands import Bands

DEFAULT_ROUNDS = 3


def ab(
    base: Annotated[str, typer.Argument(help="A git revision, or `.`: the working tree as it is.")],
    head: Annotated[str, typer.Argument(help="The revision to judge.")],
    pytest_args: Annotated[list[str] | None, typer.Argument(help="After `--`: more of pytest's options.")] = None,
    cells: Cells = None,
    protocol: Annotated[str | None, typer.Option(help="quick or article.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="resident or article.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    data_dir: DataDir = Path("data"),
    tests: Annotated[str, typer.Option(help="What pytest runs, within each revision.")] = "benchmarks",
    python_a: Annotated[Path | None, typer.Option(help="Base's interpreter: another torch, say.")] = None,
    python_b: Annotated[Path | None, typer.Option(help="Head's interpreter.")] = None,
    max_sittings: Annotated[int, typer.Option(min=1, max=300, help="Starts of both sides at most, each time.")] = 48,
    max_minutes: Annotated[
        float, typer.Option(min=0.1, max=10_000, help="All of it ends by then, decided or not.")
    ] = 30,
    restart_every: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Rounds between new starts of both sides [default: 3, or a second]."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Round i uses this + i, on both sides.")] = 0,
    out: Annotated[Path, typer.Option(help="Where base.json, head.json and both logs go.")] = Path("nets-ab"),
    config: Config = None,
    limit: Limit = None,
    allow: Allow = None,
    markdown: Markdown = None,
    json_file: Json = None,
) -> None:
    """Measure base and head on this machine in turns, round by round, and hold head against base.

    Each side is a process of its own that waits while the other works; both are started anew every few rounds (a
    sitting), since what a process was dealt at its start makes it faster or slower for good. A cell stops early where a
    look finds it changed or the same. One that has changed is measured again, in sittings that share no data with the
    first, before it blocks anything. With two interpreters, another torch and CUDA are what is compared. Ctrl-C ends
    the round under way, then judges what there is, and exits with 130.
    """
    from nets.ab import worktree
    from nets.ab.child import ChildSpec, demand_nets
    from nets.ab.interleave import StopRequest, ended_by_sigterm, stopped_by_ctrl_c
    from nets.ab.looks import plan
    from nets.ab.measure import measure
    from nets.ab.sittings import AbSettings
    from nets.cli.ab_lines import AbLines
    from nets.records import durable
    from nets.records.run import MAX_ROUNDS
    from nets.report.text import plain

    stop = StopRequest()
    interpreters = [option for option in (python_a, python_b) if option is not None]
    try:
        if base == head and len(set(interpreters)) != 2 and base == worktree.WORKING_TREE:
            raise Unusable("base and head are the same working tree: name a revision, or two interpreters")
        purpose = ["torch", "cuda"] if interpreters else []
        limits = limits_of(config, limit, [*(allow or []), *purpose])
        out = out.absolute()
        durable.make_writable(out, "--out")
        settings = AbSettings(
            cells=tuple(cells.split(",")) if cells is not None else (),
            n_rounds=restart_every or DEFAULT_ROUNDS,
            adapts=restart_every is None,
            max_sittings=max_sittings,
            max_s=60 * max_minutes,
            seed=seed,
            limits=limits,
        )
        how = {"protocol": protocol, "pipeline": pipeline, "device": device}
        arguments = _arguments(tests, how, data_dir, pytest_args or [])
        files = {name: out / f"{name}.json" for name in ("base", "head")}
        refuse_overwriting(*files.values(), markdown, json_file)
        if settings.max_sittings * settings.n_rounds > MAX_ROUNDS:
            raise Unusable(f"--max-sittings and --restart-every: a cell has at most {MAX_ROUNDS:,} rounds")
        plan("confirmation", 1, max_sittings, limits)  # refused before anything is started
        lines = AbLines(typer.echo, sys.stderr if _is_watched() else None, get_terminal_size().columns)
        with ExitStack() as stack:
            for file in files.values():
                stack.enter_context(durable.sole_writer(file, "--out"))
            stack.enter_context(ended_by_sigterm())
            checkouts = stack.enter_context(worktree.checked_out(base, head))
            sides, bands = [], []
            for name, option, python, checkout in (
                ("base", "--python-a", python_a, checkouts[0]),
                ("head", "--python-b", python_b, checkouts[1]),
            ):
                typer.echo(f"{name}: {plain(checkout.name)}{f', {python}' if python else ''}")
                for sentence in checkout.absent:
                    typer.echo(f"{name}: {plain(sentence, 1_000)}", err=True)
                bands.append(_bands(checkout.folder / tests))
                side = ChildSpec(
                    name,
                    _interpreter(python),
                    checkout.folder,
                    arguments,
                    json=files[name],
                    log=out / f"{name}.log",
                    isolated_from=checkout.isolated_from,
                )
                if python is not None:
                    demand_nets(side, option)
                sides.append(side)
            stack.callback(lines.close)
            with stopped_by_ctrl_c(stop, partial(typer.echo, err=True)):
                measure((sides[0], sides[1]), bands, settings, stop, lines)
        typer.echo(f"records: {files['base']}, {files['head']}")
        exit_code = judge_files(files["base"], files["head"], limits, markdown, json_file)
    except NetsError as error:
        if not stop.is_made:
            raise
        typer.echo(f"nets ab: {plain(str(error), 1_000)}", err=True)
    raise typer.Exit(Exit.INTERRUPTED if stop.is_made else exit_code)


def _is_watched() -> bool:
    """Whether a person sees what is written to stderr: a terminal, and not a CI's log."""
    return sys.stderr.isatty() and not os.environ.get("CI")


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


def _interpreter(path: Path | None) -> Path:
    """An interpreter by its path, not through links (a virtual environment's is one), or by its name; else this one."""
    if path is None:
        return Path(sys.executable)
    found = which(str(path))
    return Path(found).absolute() if found else path.absolute()


def _bands(tests: Path) -> Bands | str:
    """A side's own, beside its tests. Raises Unusable for a file that can't be read."""
    from nets.verdicts import bands

    path = (tests if tests.is_dir() else tests.parent) / "bands.toml"
    return bands.read_bands(path) if path.is_file() else f"there is no {path.name} beside the tests"
