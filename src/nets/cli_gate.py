"""`nets gate BASE.json HEAD.json`: reads two files, prints the findings, and exits by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nets.gate.findings import Gate
    from nets.gate.limits import Limits

UNUSABLE = 3


def gate(
    base: Annotated[Path, typer.Argument(help="The run to hold HEAD against: a file of --benchmark-json.")],
    head: Annotated[Path, typer.Argument(help="The run to judge.")],
    config: Annotated[Path | None, typer.Option(help="A TOML file with a table [gate] of limits.")] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, instead of the file's; a fraction: time_unpaired=0.5.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="Compare on purpose across another torch, cuda, device, threads, ...")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the findings for a job summary.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every finding, with its figures.")] = None,
) -> None:
    """Hold one run against another: time, accuracy, GPU, memory, energy, the network.

    Exit 0: pass. 1: something regressed, failed or is missing. 2: something was incomparable, not measured, or had too
    little data. 3: a file or an option is unusable. The first that applies, in the order 3, 1, 2, 0.
    """
    from nets.errors import Unusable
    from nets.report.text import plain

    try:
        exit_code = judged(base, head, limits_of(config, limit, allow), markdown, json_file)
    except Unusable as error:
        typer.echo(f"nets gate: {plain(str(error), 1_000)}", err=True)
        raise typer.Exit(UNUSABLE) from None
    raise typer.Exit(exit_code)


def limits_of(config: Path | None, limit: list[str] | None, allow: list[str] | None) -> Limits:
    """The file's limits with the command line's. Raises Unusable."""
    from nets.gate.limits import Limits, read_limits

    return (Limits() if config is None else read_limits(config)).changed(limit or (), allow or ())


def judged(base: Path, head: Path, limits: Limits, markdown: Path | None, json_file: Path | None) -> int:
    """Judge two files, write and print what was found, and return the exit code. Raises Unusable."""
    from shutil import get_terminal_size
    from sys import stdout

    from nets.gate.judge import judge_runs
    from nets.records.run import read_run
    from nets.report.gate import gate_lines

    demand_apart(base, head, markdown, json_file)
    found = judge_runs(read_run(base), read_run(head), limits)
    typer.echo("\n".join(gate_lines(found, width=get_terminal_size().columns, color=stdout.isatty())))
    _write(found, markdown, json_file)
    return found.exit_code


def demand_apart(base: Path, head: Path, *outputs: Path | None) -> None:
    """Refuse to write over a file that is read, twice over one, or into a folder that isn't there. Raises Unusable."""
    from nets.errors import Unusable

    taken = {base.resolve(), head.resolve()}
    for output in outputs:
        if output is None:
            continue
        if output.resolve() in taken:
            raise Unusable(f"{output}: it is named twice, and would be written over")
        if not output.parent.is_dir():
            raise Unusable(f"{output}: the folder {output.parent} does not exist; make it first")
        taken.add(output.resolve())


def _write(judged: Gate, markdown: Path | None, json_file: Path | None) -> None:
    """Write what was asked for, in place: a job summary's file is the runner's. Raises Unusable where it can't be."""
    from nets.errors import Unusable
    from nets.report.gate import gate_markdown

    as_json = json.dumps(judged.to_json(), indent=1, allow_nan=False) + "\n"
    for path, text in ((markdown, gate_markdown(judged)), (json_file, as_json)):
        if path is None:
            continue
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Unusable(f"{path}: it can't be written: {error.strerror}") from error
