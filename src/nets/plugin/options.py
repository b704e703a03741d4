"""The suite's command line: declared, and checked once, before anything is collected."""

from __future__ import annotations

import os
import re
import signal
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from nets.cells.catalog import PROTOCOLS, Cell, protocol_for, select
from nets.cells.registry import known_cells
from nets.cells.shards import Shard, dealt
from nets.errors import NetsError
from nets.plugin.session import tolerant
from nets.records import durable
from nets.records.cell import Protocol

PIPELINES = ("resident", "article")
DEFAULT_DATA_DIR = "data"


@dataclass(frozen=True)
class Options:
    """The options of one session, valid. `nets`: files and modules with networks of one's own; `cell_ids`: --cells."""

    protocol: str
    pipeline: str
    device: str
    nets: tuple[str, ...]
    cell_ids: str | None
    data_dir: Path
    rounds: int | None
    epochs: int | None
    batch_size: int | None
    lr: float | None
    seed: int | None
    require_gpu: bool
    require_data: bool
    resume: bool
    trace: bool
    keep_traces: Path | None
    cell_timeout: float | None
    shard: Shard | None

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The cells to run; installed packages are asked for theirs only when this is. Raises UsageError."""
        try:
            with _settings_kept(self.nets):
                known = known_cells(self.nets)
        except NetsError as error:
            raise pytest.UsageError(f"--nets: {error}") from None
        except KeyboardInterrupt as error:  # which pytest would not say anything of, so early
            pytest.exit(f"--nets: interrupted {error}".rstrip(), returncode=pytest.ExitCode.INTERRUPTED)
        try:
            return select(self.cell_ids, known)
        except NetsError as error:
            raise pytest.UsageError(f"--cells: {error}") from None

    @cached_property
    def shards(self) -> dict[str, tuple[int, ...]] | None:
        """The shards in which each cell is measured, by its id; None without --shard."""
        return None if self.shard is None else dealt(self.cells, self.shard.of)

    @property
    def cells_here(self) -> tuple[Cell, ...]:
        """Those of the cells that this shard measures; all without --shard."""
        if self.shard is None or self.shards is None:
            return self.cells
        return tuple(cell for cell in self.cells if self.shard.number in self.shards[cell.id])

    def shard_to_json(self) -> dict[str, Any]:
        """What a file of one shard says of it, and of how all of them were to be run; nothing without --shard."""
        if self.shard is None or self.shards is None:
            return {}
        from nets.records.shards import Shards

        shards = Shards(of=self.shard.of, here=(self.shard.number,), cells=self.shards)
        asked = {name: getattr(self, name) for name in _ASKED_OF_ALL}
        return {"shards": shards.to_json(), "asked": asked}

    def protocol_of(self, cell: Cell) -> Protocol:
        """The protocol a cell is trained under, with what the command line changes."""
        return (
            protocol_for(self.protocol, cell.dataset)
            .changed(epochs=self.epochs, batch_size=self.batch_size, lr=self.lr)
            .repeated(rounds=self.rounds, seed=self.seed)
        )


def add_options(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("nets", "training and evaluating networks")
    add = group.addoption
    add("--protocol", choices=PROTOCOLS, default="quick", help="how each cell is trained (default: quick)")
    add("--pipeline", choices=PIPELINES, default="resident", help="how batches reach the network (default: resident)")
    add("--device", type=_device, default="auto", metavar="auto|cpu|cuda[:N]", help="default: auto, a GPU if one works")
    add("--cells", metavar="IDS", help="exact ids, comma-separated: mnist-lenet5,digits-snn500 (default: all)")
    add(
        "--nets",
        action="append",
        default=[],
        metavar="FILE|MODULE",
        help="networks of your own, declared with @nets.network; may be given several times",
    )
    add(
        "--data-dir",
        metavar="PATH",
        help=f"torchvision root of mnist and cifar10 (default: $NETS_DATA or ./{DEFAULT_DATA_DIR})",
    )
    add("--rounds", type=_whole(1, 1_000), metavar="N", help="timed rounds a cell (default: the protocol's 3)")
    add("--epochs", type=_whole(1, 10_000), metavar="N", help="epochs a round; makes the protocol custom")
    add("--batch-size", type=_whole(1, 1_000_000), metavar="N", help="images a step; makes the protocol custom")
    add("--lr", type=_number(1_000), metavar="RATE", help="learning rate; makes the protocol custom")
    add("--seed", type=_whole(0, 2**32 - 1_001), metavar="N", help="round i uses seed N + i (default: 0)")
    add("--require-gpu", action="store_true", help="stop at once if no GPU works")
    add(
        "--resume",
        action="store_true",
        help="go on with a run on the same --benchmark-json that was killed or interrupted",
    )
    add("--no-trace", action="store_true", help="take no profiler traces, which come after all cells")
    add("--keep-traces", metavar="DIR", help="keep the traces, gzipped, for Perfetto; on a CPU too")
    add(
        "--cell-timeout",
        type=_number(1_000_000),
        metavar="S",
        help="end a cell that takes longer; the others go on (default: never)",
    )
    add("--shard", type=_shard, metavar="I/N", help="measure the I-th of N parts of the cells; nets merge joins them")
    add("--report", metavar="FILE", help="write what the run says as one HTML page")
    add("--gate", metavar="BASE.json", help="hold this run against a stored one; anything worse fails it")
    add("--gate-config", metavar="FILE", help="a TOML file with a table [gate] of limits, for --gate")
    add("--require-data", action="store_true", help="fail, not skip, a cell whose data is missing")


_AS_GIVEN = (
    *("protocol", "pipeline", "device", "rounds", "epochs", "batch_size", "lr", "seed"),
    *("require_gpu", "require_data", "resume", "cell_timeout"),
)
_ASKED_OF_ALL = ("protocol", "pipeline", "rounds", "epochs", "batch_size", "lr", "seed", "trace")
"""What must be the same for all shards of a run, as it was given."""


def read_options(config: pytest.Config) -> Options:
    """Check the options. Raises pytest.UsageError, one sentence."""
    option = config.getoption
    options = Options(
        **{name: option(name) for name in _AS_GIVEN},
        nets=tuple(option("--nets")),
        cell_ids=option("--cells"),
        data_dir=_data_dir(option("--data-dir")),
        trace=not option("--no-trace"),
        keep_traces=_writable(option("--keep-traces")),
        shard=None if option("--shard") is None else Shard.parse(option("--shard")),
    )
    if options.nets or options.cell_ids is not None:
        _ = options.cells  # a mistake in them is told before anything is collected
    if options.require_gpu and options.device == "cpu":
        raise pytest.UsageError("--require-gpu contradicts --device cpu")
    if options.keep_traces is not None and not options.trace:
        raise pytest.UsageError("--keep-traces contradicts --no-trace")
    if options.resume and option("benchmark_json", None) is None:
        raise pytest.UsageError("--resume needs the --benchmark-json of the run that was killed")
    if options.shard is not None and option("--gate") is not None:
        raise pytest.UsageError("--gate holds a whole run against its base: join the shards first, nets merge --gate")
    if options.cell_timeout is not None and not hasattr(signal, "setitimer"):
        raise pytest.UsageError("--cell-timeout needs POSIX signals, which this system lacks")
    if _measures_here(config) and (options.require_gpu or options.device.startswith("cuda")):
        _demand_gpu(options)
    return options


def _measures_here(config: pytest.Config) -> bool:
    """Whether this machine is to be looked at: not on a worker, whose controller has, nor with hosts over ssh alone."""
    if hasattr(config, "workerinput"):
        return False
    workers = config.getoption("tx", None) if config.getoption("dist", "no") != "no" else None
    return not workers or not all("ssh=" in spec for spec in workers)


@contextmanager
def _settings_kept(nets: tuple[str, ...]) -> Iterator[None]:
    """What the files of --nets set for the whole process while they are imported is put back, with a warning."""
    if not nets:
        yield
        return
    with tolerant():
        from nets.machine.settings import kept

        with kept(f"importing {', '.join(nets)}"):
            yield


def _demand_gpu(options: Options) -> None:
    from nets.machine.device import DeviceError, choose_device

    try:
        choose_device("cuda" if options.device == "auto" else options.device)
    except DeviceError as error:
        also = " (--require-gpu)" if options.require_gpu else ""
        raise pytest.UsageError(f"{error}{also}") from None


def _data_dir(given: str | None) -> Path:
    """The data folder; one that was named must be there, so that a slip of the pen doesn't start a download."""
    if given == "":
        raise pytest.UsageError("--data-dir: no folder is named")
    source = "--data-dir" if given is not None else "$NETS_DATA"
    named = given if given is not None else os.environ.get("NETS_DATA")
    if not named:
        return Path(DEFAULT_DATA_DIR)
    path = Path(named).expanduser()
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise pytest.UsageError(f"{source}: {path} {what}; make it to have the data downloaded into it")
    return path


def _writable(named: str | None) -> Path | None:
    """The folder for traces, made if it is not there. Raises UsageError for one that can't be written to."""
    if named is None:
        return None
    if named == "":
        raise pytest.UsageError("--keep-traces: no folder is named")
    try:
        folder = Path(named).expanduser().resolve()  # tests may change the folder
        durable.make_writable(folder, "--keep-traces")
    except (NetsError, RuntimeError) as error:  # expanduser raises the latter
        raise pytest.UsageError(str(error)) from None
    return folder


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,18}", text) or not low <= int(text) <= high:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high:,}")
        return int(text)

    return parse


def _number(high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value <= high:
            raise ArgumentTypeError(f"{text!r} is not a number above 0 and at most {high:.0f}")
        return value

    return parse


def _shard(text: str) -> str:
    """As it was given: xdist hands plain values on to its workers."""
    try:
        return str(Shard.parse(text))
    except NetsError as error:
        raise ArgumentTypeError(str(error)) from None


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", text):
        raise ArgumentTypeError(f"{text!r} is not one of auto, cpu, cuda, cuda:N")
    return text
