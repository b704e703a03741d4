"""`nets bands`: measures the accuracies that the bands are made of, or says how often the bands err."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nets.cli.common import Cells, DataDir, Json, beside_json, demand_writable, say, tell, write_json
from nets.errors import Unusable

BANDS = Path("benchmarks/bands.toml")


def bands(
    cells: Cells = None,
    protocol: Annotated[str, typer.Option(help="quick or article.")] = "quick",
    pipeline: Annotated[str, typer.Option(help="resident or article.")] = "resident",
    seeds: Annotated[int, typer.Option(min=1, max=10_000, help="Runs a cell.")] = 20,
    first_seed: Annotated[int, typer.Option(min=0, max=2**31, help="The runs use the seeds from here on.")] = 10_000,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    data_dir: DataDir = Path("data"),
    file: Annotated[Path, typer.Option(help="The bands file; runs that it has already are not repeated.")] = BANDS,
    label_noise: Annotated[
        float, typer.Option(min=0, max=1, help="Fraction of training labels made wrong, to see what a band catches.")
    ] = 0.0,
    processes: Annotated[
        int,
        typer.Option("-n", min=1, max=1_000, help="Processes at once, each with a GPU or a share of the cores."),
    ] = 1,
    rates: Annotated[
        bool, typer.Option("--rates", help="Measure nothing: print each band's false alarms and what it catches.")
    ] = False,
    broken: Annotated[Path | None, typer.Option(help="With --rates: a file of runs with --label-noise.")] = None,
    json_file: Json = None,
) -> None:
    """Measure accuracy distributions and write them into the bands file, run by run."""
    from nets.cells.catalog import select

    if rates:
        _tell_rates(file, broken, json_file)
        return
    if json_file is not None:
        raise Unusable("--json needs --rates; what is measured goes into the bands file (--file)")
    if label_noise and file == BANDS:
        raise Unusable("runs with --label-noise are no reference: name another --file for them")
    from nets.machine.places import places
    from nets.measuring.reference_runs import Setting, measure_reference_runs, run_here
    from nets.measuring.spread import run_spread
    from nets.records.durable import sole_writer
    from nets.training.pipelines import pipeline_named

    run_all = run_here if processes == 1 else partial(run_spread, environments=places(processes, device))
    try:
        with sole_writer(file, "--file"):
            measure_reference_runs(
                select(cells),
                protocol,
                Setting(pipeline_named(pipeline).name, device, data_dir, label_noise),
                range(first_seed, first_seed + seeds),
                file,
                run_all=run_all,
                say=say,
            )
    except KeyboardInterrupt:
        say(f"{file} holds every finished run, and the same command goes on", to_stderr=True)
        raise


def _tell_rates(file: Path, broken: Path | None, json_file: Path | None) -> None:
    from nets.report.bands import band_parts
    from nets.verdicts.band_rates import rates_of_bands
    from nets.verdicts.bands import read_bands

    demand_writable(json_file, read=(file, *([] if broken is None else [broken])))
    found = rates_of_bands(read_bands(file), read_bands(broken) if broken is not None else None)
    with beside_json(json_file):
        tell(band_parts(found))
    write_json(json_file, {"schema": 1, "kind": "bands", **asdict(found)})
