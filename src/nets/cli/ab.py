"""`nets ab BASE HEAD`: measures two revisions, or two interpreters, in turns; then it is the gate's to judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    Markdown,
    beside_json,
    demand_writable,
    judge_files,
    limits_of,
    say,
)
from nets.errors import Exit, NetsError


def ab(
    base: Annotated[str, typer.Argument(help="A git revision, or `.`: the working tree as it is.")],
    head: Annotated[str, typer.Argument(help="The revision to judge.")],
    pytest_args: PytestArguments = None,
    cells: Cells = None,
    nets: Nets = None,
    protocol: Protocol = None,
    pipeline: Pipeline = None,
    device: DeviceName = None,
    data_dir: DataDir = Path("data"),
    tests: Tests = "benchmarks",
    python_a: Annotated[Path | None, typer.Option(help="Base's interpreter: another torch, say.")] = None,
    python_b: Annotated[Path | None, typer.Option(help="Head's interpreter.")] = None,
    max_sittings: MaxSittings = 48,
    max_minutes: MaxMinutes = 30,
    restart_every: RestartEvery = None,
    seed: Seed = 0,
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
    from nets.ab.compare import compare
    from nets.ab.interleave import StopRequest
    from nets.cli.ab_lines import ab_lines

    stop = StopRequest()
    try:
        purpose = ["torch", "cuda"] if python_a or python_b else []
        how = comparison(
            cells=cells,
            nets=nets,
            settings={"protocol": protocol, "pipeline": pipeline, "device": device},
            pytest_args=pytest_args or [],
            data_dir=data_dir,
            tests=tests,
            pythons=(python_a, python_b),
            max_sittings=max_sittings,
            max_minutes=max_minutes,
            restart_every=restart_every,
            seed=seed,
            out=out,
            limits=limits_of(config, limit, [*(allow or []), *purpose]),
        )
        demand_writable(markdown, json_file, read=how.files)
        how.demand_possible()
        with beside_json(json_file):
            with ab_lines() as lines:
                compare(base, head, how, stop, lines)
            say(f"records: {how.files[0]}, {how.files[1]}")
        exit_code = judge_files(*how.files, how.settings.limits, markdown, json_file)
        if stop.is_made:
            say("nets ab: interrupted: the verdict is on what was measured until then", to_stderr=True)
    except NetsError as error:
        if not stop.is_made:
            raise
        say(f"nets ab: {error}", to_stderr=True)
    raise typer.Exit(Exit.INTERRUPTED if stop.is_made else exit_code)
