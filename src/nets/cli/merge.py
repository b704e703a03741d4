"""`nets merge A.json B.json ... -o OUT`: joins the files of a run's parts, and judges all of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nets.cli.common import Json, beside_json, demand_writable, resolved, tell, write_json
from nets.errors import Exit, Unusable

if TYPE_CHECKING:
    from nets.gate.findings import Gate
    from nets.gate.limits import Limits
    from nets.records.run import Run

_WORST_FIRST = (Exit.UNUSABLE, Exit.REGRESSED, Exit.CANT_TELL, Exit.FINE)


def merge(
    files: Annotated[list[Path], typer.Argument(help="What each shard wrote by --benchmark-json.", metavar="FILE...")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    bands: Annotated[
        Path | None, typer.Option(help="Hold every accuracy against this bands file; else each keeps its verdict.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Join what there is of the shards; the file says what is missing.")
    ] = False,
    gate: Annotated[Path | None, typer.Option(help="Hold the joined run against a stored one, as nets gate.")] = None,
    gate_config: Annotated[Path | None, typer.Option(help="With --gate: a TOML file with a table [gate].")] = None,
    json_file: Json = None,
) -> None:
    """Join the files of a run that was measured in shards, as if one run had measured all, and judge it.

    Exits with 1 where a cell failed, broke off or is missing; with --gate, with the first of 2, 1, 3, 0 that applies.
    """
    from nets.records.durable import sole_writer
    from nets.records.run_file import parsed_run
    from nets.report.gate import gate_document, gate_json
    from nets.report.merge import merge_json, merge_parts
    from nets.verdicts.bands import read_bands
    from nets.verdicts.join import joined, never_collected, write_joined
    from nets.verdicts.parts import demand_one_run, read_parts

    _demand_apart(files)
    read = [*files, *filter(None, (gate, gate_config, bands))]
    demand_writable(out, read=read, replaces_result=True)
    demand_writable(json_file, read=[*read, out])
    base = _base(gate, gate_config)
    parts = read_parts(files)
    demand_one_run(parts, partial=partial)
    content = joined(parts, None if bands is None else read_bands(bands))
    run = parsed_run(content, str(out))
    with sole_writer(out, "--out"):
        write_joined(content, out)
    status, left_out, of_gate = _status(run, content["nets"]), never_collected(run), None
    with beside_json(json_file):
        tell(merge_parts(run, len(files), left_out))
        if base is not None:
            judged = _judged(*base, run)
            tell(gate_document(judged))
            of_gate = gate_json(judged)
            status = next(each for each in _WORST_FIRST if each in (status, judged.exit_code))
    write_json(json_file, {**merge_json(run, left_out), "exit_code": status, "gate": of_gate})
    raise typer.Exit(status)


def _demand_apart(files: list[Path]) -> None:
    if len({resolved(path) for path in files}) < len(files):
        twice = next(path for i, path in enumerate(files) if resolved(path) in map(resolved, files[:i]))
        raise Unusable(f"{twice}: it is named twice")


def _base(gate: Path | None, config: Path | None) -> tuple[Run, Limits] | None:
    """The stored run and the limits, read before anything is written. Raises Unusable."""
    from nets.cli.common import limits_of
    from nets.records.run import with_subject
    from nets.records.run_file import read_run

    if gate is None:
        if config is not None:
            raise Unusable("--gate-config needs --gate BASE.json")
        return None
    base = with_subject(read_run(gate))
    base.demand_one_record_a_cell()
    return base, limits_of(config, None, None)


def _judged(base: Run, limits: Limits, run: Run) -> Gate:
    from nets.gate.judge import judge_runs
    from nets.records.run import with_subject

    return judge_runs(base, with_subject(run), limits)


def _status(run: Run, nets: Mapping[str, Any]) -> Exit:
    """As a session's end: a cell that was skipped is no failure, but a run without any cell is."""
    records = [*run.cells, *(reference.result for reference in run.references)]
    has_passed = bool(records) and all(result.outcome.status == "passed" for result in records)
    is_whole = not run.interrupted and all(each.get("skipped") for each in nets.get("not_run", []))
    return Exit.FINE if has_passed and is_whole else Exit.REGRESSED
