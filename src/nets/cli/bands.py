"""`nets bands`: measures the accuracies that the bands are made of, or says how often the bands err."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nets.cli.common import Cells, DataDir, say, tell
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
    rates: Annotated[
        bool, typer.Option("--rates", help="Measure nothing: print each band's false alarms and what it catches.")
    ] = False,
    broken: Annotated[Path | None, typer.Option(help="With --rates: a file of runs with --label-noise.")] = None,
) -> None:
    """Measure accuracy distributions and write them into the bands file, run by run."""
    from nets.cells.catalog import select

    if rates:
        from nets.report.bands import band_parts
        from nets.verdicts.bands import read_bands

        tell(band_parts(read_bands(file), read_bands(broken) if broken is not None else None))
        return
    if label_noise and file == BANDS:
        raise Unusable("runs with --label-noise are no reference: name another --file for them")
    from nets.machine.device import choose_device
    from nets.measuring.reference_runs import measure_reference_runs
    from nets.records.durable import sole_writer
    from nets.training.pipelines import pipeline_named

    try:
        with sole_writer(file, "--file"):
            measure_reference_runs(
                select(cells),
                protocol,
                pipeline_named(pipeline),
                range(first_seed, first_seed + seeds),
                choose_device(device),
                data_dir,
                file,
                label_noise=label_noise,
                say=say,
            )
    except KeyboardInterrupt:
        say(f"{file} holds every finished run, and the same command goes on", to_stderr=True)
        raise
