"""`nets bisect GOOD BAD`: the first commit that regressed; `nets bisect-step GOOD`: the same for `git bisect run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nets.cli.ab_options import (
    DeviceName,
    MaxMinutes,
    MaxSittings,
    Nets,
    Pipeline,
    Protocol,
    PytestArguments,
    RestartEvery,
    Seed,
    Tests,
    comparison,
)
from nets.cli.common import (
    Allow,
    Cells,
    Config,
    DataDir,
    Json,
    Limit,
    beside_json,
    demand_writable,
    limits_of,
    write_json,
)
from nets.errors import Exit, NetsError, counted

if TYPE_CHECKING:
    from nets.ab.compare import Comparison
    from nets.cli.ab_lines import AbLines
    from nets.gate.findings import Gate

Python = Annotated[Path | None, typer.Option(help="The interpreter that runs both sides.")]


def bisect(
    good: Annotated[str, typer.Argument(help="A revision that is as it should be.")],
    bad: Annotated[str, typer.Argument(help="A later one that is slower, or less accurate.")],
    pytest_args: PytestArguments = None,
    cells: Cells = None,
    nets: Nets = None,
    protocol: Protocol = None,
    pipeline: Pipeline = None,
    device: DeviceName = None,
    data_dir: DataDir = Path("data"),
    tests: Tests = "benchmarks",
    python: Python = None,
    max_sittings: MaxSittings = 48,
    max_minutes: MaxMinutes = 30,
    restart_every: RestartEvery = None,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Where bisection.json and the last comparison go.")] = Path("nets-bisect"),
    config: Config = None,
    limit: Limit = None,
    allow: Allow = None,
    json_file: Json = None,
) -> None:
    """Find the first commit between GOOD and BAD at which something regressed.

    BAD is compared with GOOD first, as by `nets ab`; then git's bisection chooses commits, each of which is compared
    with GOOD on the cells and metrics that have regressed. A commit that can't be run, or told, is skipped. The same
    command goes on where it was stopped. To use it within a bisection of your own: `git bisect run nets bisect-step
    GOOD`.
    """
    from nets.ab.bisect import Bisector, conclusion, own_worktree
    from nets.ab.interleave import ended_by_sigterm
    from nets.cli.ab_lines import ab_lines
    from nets.records import durable

    how = comparison(
        cells=cells,
        nets=nets,
        settings={"protocol": protocol, "pipeline": pipeline, "device": device},
        pytest_args=pytest_args or [],
        data_dir=data_dir,
        tests=tests,
        pythons=(python, python),
        max_sittings=max_sittings,
        max_minutes=max_minutes,
        restart_every=restart_every,
        seed=seed,
        out=out,
        limits=limits_of(config, limit, allow),
    )
    file = how.out / "bisection.json"
    demand_writable(json_file, read=(file, *how.files))
    how.demand_possible()
    asked = (repr(how.settings), *how.arguments, str(how.interpreters[0].path))
    found: tuple[str, ...] = ()
    with (
        beside_json(json_file),
        ab_lines() as lines,
        durable.sole_writer(file, "--out"),
        ended_by_sigterm(),
        own_worktree(good, bad) as (folder, first, last),
    ):
        bisector = Bisector(first, last, asked, file, lambda commit, named: _compared(first, commit, how, named, lines))
        if bisector.known.steps:
            lines.say(f"going on after {counted(len(bisector.known.steps), 'commit')}, of which {file} has the answers")
        if bisector.targets():
            found = bisector.run(folder, lines.say)
            for sentence in conclusion(bisector.known, found, folder):
                lines.say(sentence)
        else:
            lines.say(f"{bad} against {good}: {bisector.nothing_because}; there is no commit to look for")
        if len(found) > 1:
            lines.say(f"{file} keeps the answers; remove it to have the skipped ones compared again")
    write_json(json_file, {**bisector.known.to_json(), "first_bad": found})
    raise typer.Exit(Exit.FINE if len(found) == 1 else Exit.CANT_TELL)


def bisect_step(
    good: Annotated[str, typer.Argument(help="The revision that is as it should be.")],
    pytest_args: PytestArguments = None,
    cells: Cells = None,
    nets: Nets = None,
    protocol: Protocol = None,
    pipeline: Pipeline = None,
    device: DeviceName = None,
    data_dir: DataDir = Path("data"),
    tests: Tests = "benchmarks",
    python: Python = None,
    max_sittings: MaxSittings = 48,
    max_minutes: MaxMinutes = 30,
    restart_every: RestartEvery = None,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Where both sides' files and logs go.")] = Path("nets-bisect"),
    config: Config = None,
    limit: Limit = None,
    allow: Allow = None,
    json_file: Json = None,
) -> None:
    """Compare the working tree with GOOD, for `git bisect run`.

    Exits as that wants it: for 125 git skips the commit, as one that can't be run; 128 and more ends the bisection, as
    a wrong option does.
    """
    from nets.ab.child import SideFailed
    from nets.ab.worktree import WORKING_TREE
    from nets.cli.ab_lines import ab_lines
    from nets.report.gate import gate_json

    how = comparison(
        cells=cells,
        nets=nets,
        settings={"protocol": protocol, "pipeline": pipeline, "device": device},
        pytest_args=pytest_args or [],
        data_dir=data_dir,
        tests=tests,
        pythons=(python, python),
        max_sittings=max_sittings,
        max_minutes=max_minutes,
        restart_every=restart_every,
        seed=seed,
        out=out,
        limits=limits_of(config, limit, allow),
    )
    demand_writable(json_file, read=how.files)
    how.demand_possible()
    with beside_json(json_file), ab_lines() as lines:
        try:
            gate = _compared(good, WORKING_TREE, how, (), lines)
        except SideFailed as error:
            if error.side == "base":
                raise
            lines.warn(str(error))
            raise typer.Exit(Exit.CANT_TELL) from error
    write_json(json_file, gate_json(gate))
    raise typer.Exit(gate.exit_code)


def _compared(good: str, commit: str, how: Comparison, cells: tuple[str, ...], lines: AbLines) -> Gate:
    """A commit against the good one, on these cells, none for all that were asked for. Raises NetsError."""
    from nets.ab.compare import compare
    from nets.ab.interleave import StopRequest
    from nets.gate.judge import judge_runs
    from nets.records.run_file import read_run

    stop = StopRequest()
    try:
        compare(good, commit, how.on(cells), stop, lines)
    except NetsError:
        if not stop.is_made:
            raise
    if stop.is_made:
        raise KeyboardInterrupt(f"amid {commit[:12]}; the answers before it are kept, and the same command goes on")
    base, head = map(read_run, how.files)
    return judge_runs(base, head, how.settings.limits)
