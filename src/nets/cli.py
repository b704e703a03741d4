"""The `nets` command: what can be done without pytest."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from nets import __version__, cli_ab, cli_depth, cli_gate, cli_history
from nets.cli_gate import UNUSABLE
from nets.errors import NetsError

VERDICTS = ("ab", "gate", "history")
"""Commands whose exit codes 1 and 2 are verdicts."""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nets {__version__}")
        raise typer.Exit


@app.callback()
def nets(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    """Train and evaluate small networks, and say what each costs. The benchmark itself is `pytest benchmarks/`."""


app.command()(cli_depth.depth)
app.command()(cli_gate.gate)
app.command()(cli_ab.ab)
app.command()(cli_history.history)


@app.command()
def bands(
    cells: Annotated[str | None, typer.Option(help="Exact ids, comma-separated; all by default.")] = None,
    protocol: Annotated[str, typer.Option(help="quick or article.")] = "quick",
    pipeline: Annotated[str, typer.Option(help="resident or article.")] = "resident",
    seeds: Annotated[int, typer.Option(min=1, max=10_000, help="Runs a cell.")] = 20,
    first_seed: Annotated[int, typer.Option(min=0, max=2**31, help="The runs use the seeds from here on.")] = 10_000,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    data_dir: Annotated[Path, typer.Option(envvar="NETS_DATA", help="A torchvision root.")] = Path("data"),
    file: Annotated[Path, typer.Option(help="The bands file; runs that it has already are not repeated.")] = Path(
        "benchmarks/bands.toml"
    ),
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
    from nets.machine.device import choose_device
    from nets.measuring.reference_runs import measure_reference_runs
    from nets.training.pipelines import pipeline_named as pipeline_named

    if rates:
        _print_rates(file, broken)
        return
    if label_noise and file == Path("benchmarks/bands.toml"):
        typer.echo("nets bands: runs with --label-noise are no reference: name another --file for them", err=True)
        raise typer.Exit(2)
    try:
        measure_reference_runs(
            select(cells),
            protocol,
            pipeline_named(pipeline),
            range(first_seed, first_seed + seeds),
            choose_device(device),
            data_dir,
            file,
            label_noise=label_noise,
            say=typer.echo,
        )
    except (NetsError, OSError) as error:
        typer.echo(f"nets bands: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo(f"nets bands: interrupted; {file} holds every finished run, and the same command goes on", err=True)
        raise typer.Exit(130) from None


def _print_rates(file: Path, broken: Path | None) -> None:
    from nets.errors import UnknownName, Unusable
    from nets.report.bands import band_lines
    from nets.verdicts.bands import read_bands

    try:
        lines = band_lines(read_bands(file), read_bands(broken) if broken is not None else None)
    except (Unusable, UnknownName) as error:
        typer.echo(f"nets bands: {error}", err=True)
        raise typer.Exit(UNUSABLE) from None
    typer.echo("\n".join(lines))


@app.command()
def report(
    file: Annotated[Path, typer.Argument(help="What `pytest benchmarks/ --benchmark-json FILE` wrote.")],
) -> None:
    """Check a run's file against the record's schema and print its table."""
    from shutil import get_terminal_size
    from sys import stdout

    from nets.errors import Unusable
    from nets.records.run import read_run
    from nets.report.run import growth_lines, not_run_lines, run_lines, side_by_side_lines
    from nets.report.text import harmless, plain

    try:
        found = read_run(file)
    except Unusable as error:
        typer.echo(f"nets report: {plain(str(error), 1_000)}", err=True)
        raise typer.Exit(UNUSABLE) from None
    results = [harmless(result) for result in (*found.results, *found.unfinished)]
    lines = run_lines(results, width=get_terminal_size().columns, color=stdout.isatty())
    lines += [*side_by_side_lines(map(harmless, found.side_by_side)), *growth_lines(map(harmless, found.growth))]
    lines += not_run_lines((plain(cell), plain(because)) for cell, because in found.not_run)
    typer.echo("\n".join(lines if found.harness is None else [*lines, str(found.harness)]))


def main() -> None:
    """Entry point. What keeps a verdict from being reached, a wrong option or a fault of ours, ends as unusable."""
    is_verdict = sys.argv[1:2] != [] and sys.argv[1] in VERDICTS
    try:
        status = app(standalone_mode=False)
    except typer.Abort:
        status = 130
    except SystemExit as ended:
        status = UNUSABLE if ended.code == 1 and is_verdict else ended.code  # 1: typer's own, of a closed pipe
    except Exception as error:
        if hasattr(error, "show"):
            error.show()  # typer's own, of a wrong option
        else:
            traceback.print_exc()
        status = UNUSABLE if is_verdict else getattr(error, "exit_code", 1)
    sys.exit(status)


if __name__ == "__main__":
    main()
