"""`nets ab BASE HEAD`: measures two revisions, or two interpreters, in turns; then it is the gate's to judge."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nets.cli_gate import UNUSABLE

if TYPE_CHECKING:
    from nets.ab.conductor import Stop
    from nets.ab.process import Spec
    from nets.gate.config import Limits

INTERRUPTED = 130


def ab(
    base: Annotated[str, typer.Argument(help="A git revision, or `.`: the working tree as it is.")],
    head: Annotated[str, typer.Argument(help="The revision to judge.")],
    pytest_args: Annotated[list[str] | None, typer.Argument(help="After `--`: more of pytest's options.")] = None,
    cells: Annotated[str | None, typer.Option(help="Exact ids, comma-separated; all by default.")] = None,
    protocol: Annotated[str | None, typer.Option(help="quick or article.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="resident or article.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    data_dir: Annotated[Path, typer.Option(envvar="NETS_DATA", help="A torchvision root.")] = Path("data"),
    tests: Annotated[str, typer.Option(help="What pytest runs, within each revision.")] = "benchmarks",
    python_a: Annotated[Path | None, typer.Option(help="Base's interpreter: another torch, say.")] = None,
    python_b: Annotated[Path | None, typer.Option(help="Head's interpreter.")] = None,
    max_rounds: Annotated[int, typer.Option(min=5, max=1_000, help="Rounds a cell and side at most.")] = 30,
    looks: Annotated[int, typer.Option(min=1, max=10, help="How often a cell may be found to need no more.")] = 3,
    out: Annotated[Path, typer.Option(help="Where base.json, head.json and both logs go.")] = Path("nets-ab"),
    config: Annotated[Path | None, typer.Option(help="A TOML file with a table [gate] of limits.")] = None,
    limit: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, instead of the file's.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="Compare on purpose across another cuda, ...")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the findings for a job summary.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every finding, with its figures.")] = None,
) -> None:
    """Measure base and head on this machine in turns, round by round, and hold head against base.

    Each side is a process of its own that waits while the other works. A cell stops early where a look finds it changed
    or the same. With two interpreters, another torch and CUDA are what is compared. Exit as `nets gate`; 130 after
    Ctrl-C, which ends the round under way, then judges what there is.
    """
    from nets.ab import process, revisions
    from nets.ab.conductor import Stop
    from nets.ab.looks import TooFewRounds
    from nets.ab.pairing import name_pairing
    from nets.cli_gate import judged, limits_of
    from nets.report.foreign import plain
    from nets.results import Unusable

    stop = Stop()
    interpreters = [option for option in (python_a, python_b) if option is not None]
    try:
        if base == head and len(set(interpreters)) != 2 and base == revisions.WORKING_TREE:
            raise Unusable("base and head are the same working tree: name a revision, or two interpreters")
        purpose = ["torch", "cuda"] if interpreters else []
        limits = limits_of(config, limit, [*(allow or []), *purpose])
        arguments = _arguments(tests, max_rounds, pytest_args or [], cells, protocol, pipeline, device, data_dir)
        out = out.absolute()
        _make(out)
        with ExitStack() as stack:
            stack.enter_context(_ended_by_sigterm())
            checkouts = stack.enter_context(revisions.checked_out(base, head))
            specs: list[Spec] = []
            for name, option, python, checkout in (
                ("base", "--python-a", python_a, checkouts[0]),
                ("head", "--python-b", python_b, checkouts[1]),
            ):
                typer.echo(f"{name}: {plain(str(checkout))}{f', {python}' if python else ''}")
                interpreter = process.this_python() if python is None else _program(python)
                specs.append(process.Spec(name, interpreter, checkout.folder, arguments, out))
                if python is not None:
                    process.demand_nets(specs[-1], option)
            n_looks = _measured(specs[0], specs[1], limits, looks, max_rounds, stop)
        name_pairing((specs[0].json, specs[1].json), n_looks)
        exit_code = judged(specs[0].json, specs[1].json, limits, markdown, json_file)
    except (Unusable, TooFewRounds) as error:
        typer.echo(f"nets ab: {plain(str(error), 1_000)}", err=True)
        raise typer.Exit(INTERRUPTED if stop.asked else UNUSABLE) from None
    typer.echo(f"records: {specs[0].json}, {specs[1].json}")
    raise typer.Exit(INTERRUPTED if stop.asked else exit_code)


def _arguments(
    tests: str,
    max_rounds: int,
    others: list[str],
    cells: str | None,
    protocol: str | None,
    pipeline: str | None,
    device: str | None,
    data_dir: Path,
) -> tuple[str, ...]:
    """pytest's, the same for both sides; paths made absolute, since each side runs in a folder of its own."""
    from nets.results import Unusable

    named = {"cells": cells, "protocol": protocol, "pipeline": pipeline, "device": device}
    if data_dir.is_dir():
        named["data-dir"] = str(data_dir.resolve())
    elif data_dir != Path("data"):
        raise Unusable(f"--data-dir: {data_dir} is not a folder")
    for refused in ("--rounds", "--benchmark-json", "--resume"):
        if any(other.partition("=")[0] == refused for other in others):
            raise Unusable(f"{refused}: nets ab sets it itself; see --max-rounds and --out")
    given = [f"--{name}={value}" for name, value in named.items() if value is not None]
    return (tests, f"--rounds={max_rounds}", "-p", "no:cacheprovider", *given, *others)


def _program(path: Path) -> Path:
    """An interpreter by its path, not through links (a virtual environment's is one), or by its name."""
    from shutil import which

    found = which(str(path))
    return Path(found).absolute() if found else path.absolute()


def _make(folder: Path) -> None:
    from nets.results import Unusable

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Unusable(f"--out: {folder} can't be written to: {error.strerror}") from error


def _measured(base: Spec, head: Spec, limits: Limits, n_looks: int, max_rounds: int, stop: Stop) -> int:
    """Run both sides to their ends, and say how many looks were planned. Raises Unusable, TooFewRounds."""
    from nets.ab.conductor import Conductor, cell_of
    from nets.ab.looks import Plan, Verdict, plan
    from nets.ab.process import Side
    from nets.gate.significance import Shift
    from nets.report.foreign import plain

    def planned(n_cells: int) -> Plan:
        nonlocal n_looks
        made = plan(n_cells, max_rounds, n_looks, limits)
        n_looks = len(made.looks)
        at = ", ".join(map(str, made.looks))
        typer.echo(f"{n_cells} {'cell' if n_cells == 1 else 'cells'}; looks at {at} pairs")
        return made

    def saw(test: str, n_pairs: int, verdict: Verdict, shift: Shift) -> None:
        interval = ""
        if shift.low is not None and shift.high is not None:
            interval = f" ({100 * shift.low:+.1f} to {100 * shift.high:+.1f})"
        typer.echo(f"{plain(cell_of(test))}: {n_pairs} pairs, {100 * shift.point:+.1f} %{interval}: {verdict}")

    with tempfile.TemporaryDirectory(prefix="nets-ab-side-") as folder, ExitStack() as stack:
        sides: list[Side] = []
        for spec in (base, head):
            sides.append(Side(spec, Path(folder)))
            stack.callback(sides[-1].kill)
        with _stopped_by_ctrl_c(stop):
            try:
                Conductor(sides[0], sides[1], planned, stop).run(saw)
            except KeyboardInterrupt:  # the second
                for side in sides:
                    side.interrupt()
                for side in sides:
                    side.end()
    return n_looks


@contextmanager
def _stopped_by_ctrl_c(stop: Stop) -> Iterator[None]:
    """The first Ctrl-C ends the measurement after the round under way, the second at once."""

    def asked(_signal: int, _frame: object) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        typer.echo("stopping after the round under way; again: at once, without the cell under way", err=True)

    before = signal.signal(signal.SIGINT, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """A job that is cancelled leaves no worktree and no process behind."""

    def end(_signal: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
