"""`.ci/gpu-checks PART FOLDER`: what only a GPU can show, in parts that fit a bare machine that is lent for minutes.

A part is a few commands, each a process of its own. What they print goes into FOLDER/PART.txt line by line, records
into FOLDER/PART.json. A command whose time is up is interrupted as by Ctrl-C, and so writes the cells that it has.
The standard library alone is imported here at the top, so that the packages that a machine lacks can be named.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from time import perf_counter
from typing import TextIO

REPOSITORY = Path(__file__).resolve().parents[2]
MAIN_S = 440.0
"""The time of a part's first command."""
TABLE_S = 20.0
"""The time of each further one: it prints a table of the first one's records."""
GRACE_S = 15.0
"""From the interrupt to the end of a command that doesn't heed it. All of a part's times come to under nine minutes."""
MNIST = ("--cells", "mnist-snn500,mnist-cnn3l,mnist-lenet5")
CIFAR10 = ("--cells", "cifar10-cnn3l,cifar10-lenet5")
EMBEDDED = ("--cells", "digits-snn500,digits-cnn3l,digits-lenet5,shapes-cnn3l,shapes-lenet5")
MONITOR = ("--cells", "mnist-lenet5", "--epochs", "20", "--rounds", "20")
TRACES = ("--keep-traces", "{folder}/traces")
SIDES = ("-m", "nets_side_by_side")


@dataclass(frozen=True, slots=True)
class Part:
    """A part. `seconds`: how long it takes on an H100, an estimate whose arithmetic is in docs/gpu.md.

    `benchmarks`: the arguments of `pytest benchmarks`; for a part without, `module` is what Python runs instead.
    `needs`: the data set that must be there.
    """

    name: str
    what: str
    seconds: int
    benchmarks: tuple[str, ...] = ()
    module: tuple[str, ...] = ()
    needs: str | None = None

    def commands(self, folder: Path, on_cpu: bool, options: Sequence[str]) -> list[list[str]]:
        """What Python is started with, one command after the other; `options` are handed on to pytest."""
        if self.module:
            return [["-m", *self.module, *options]]
        file = str(folder / f"{self.name}.json")
        where = ["--device", "cpu"] if on_cpu else ["--require-gpu"]
        arguments = [argument.format(folder=folder) for argument in self.benchmarks]
        tables = ["nets report"] if "-m" in self.benchmarks else ["nets report", "studies.kernel_sums"]
        return [
            [
                "-m",
                "pytest",
                "benchmarks",
                "-v",
                *where,
                "--require-data",
                "--benchmark-json",
                file,
                *arguments,
                *options,
            ],
            *(["-m", *table.split(), file] for table in tables),
        ]


def _checks(name: str) -> tuple[str, ...]:
    return ("pytest", f"tests/on_gpu/{name}_checks.py", "-v", "-s")


PARTS = {
    part.name: part
    for part in (  # the one that is worth most comes first
        Part("first", "do CUDA, NVML, capture, trace and benchmark work at all?", 60, module=("tests.on_gpu.first",)),
        Part("mnist", "the article's networks, traces kept", 40, (*MNIST, *TRACES), needs="mnist"),
        Part("side-by-side-mnist", "the article's step over ours", 45, (*MNIST, *SIDES), needs="mnist"),
        Part("capture-checks", "replays, and networks that resist", 90, module=_checks("capture")),
        Part("driver-checks", "the driver's figures, traces, processes", 160, module=_checks("driver")),
        Part("embedded", "the cells that need no file", 60, EMBEDDED),
        Part("article", "the article's pipeline", 80, (*MNIST, *TRACES, "--pipeline", "article"), needs="mnist"),
        Part("cifar10", "the article's networks", 40, CIFAR10, needs="cifar10"),
        Part("side-by-side-cifar10", "the article's step over ours", 70, (*CIFAR10, *SIDES), needs="cifar10"),
        Part("growth", "images a second by batch size and set size", 40, (*MNIST, "-m", "nets_growth"), needs="mnist"),
        Part("monitor-cost", "what watching the GPU costs", 110, (*MONITOR, "-m", "nets_monitor_cost"), needs="mnist"),
    )
}


class Refused(Exception):
    """Why a part can't be run here, in a sentence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a part. 0: every command ended well; 1: one did not, or the part was refused. A wrong option exits with 2."""
    parser = argparse.ArgumentParser(
        prog=".ci/gpu-checks",
        usage="%(prog)s PART FOLDER [--on-cpu] [options of pytest]",
        epilog="\n".join(listing()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("part", metavar="PART", nargs="?", choices=list(PARTS), help="one of those below")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, help="where the results go")
    parser.add_argument("--on-cpu", action="store_true", help="a rehearsal: the same commands, the cells on the CPU")
    given, options = parser.parse_known_args(arguments)
    if given.part is None:
        parser.print_help()
        return 0
    if given.folder is None:
        parser.error("the FOLDER for the results is missing")
    part, folder = PARTS[given.part], given.folder.resolve()
    with tempfile.TemporaryDirectory() as site:
        try:
            unpack_wheels(site)
            demand_packages()
            if not given.on_cpu:
                demand_gpu()
            environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "160", **data_for(part)}
        except Refused as refused:
            print(f"gpu-checks: {part.name}: {refused}", file=sys.stderr)
            return 1
        folder.mkdir(parents=True, exist_ok=True)
        codes: list[int] = []
        with (folder / f"{part.name}.txt").open("w") as log:
            for command in part.commands(folder, given.on_cpu, options):
                codes.append(run(command, log, TABLE_S if codes else MAIN_S, environment))
    return int(any(codes))


def listing() -> Iterator[str]:
    """A line for each part."""
    yield f"{'PART':<22}{'on an H100':<12}{'needs':<9}what"
    for part in PARTS.values():
        yield f"{part.name:<22}{f'{part.seconds} s':<12}{part.needs or '–':<9}{part.what}"


def unpack_wheels(site: str) -> None:
    """Make the packages in $NETS_WHEELS importable, here and in every process that is started; pip is not needed."""
    wheels = sorted(Path(os.environ["NETS_WHEELS"]).glob("*.whl")) if os.environ.get("NETS_WHEELS") else []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    if wheels:
        sys.path.append(site)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), site)))


def demand_packages() -> None:
    """Raise Refused with the names of all packages that are not here, of those that the suite and its tests import."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    absent = []
    for requirement in (*project["dependencies"], "jsonschema"):
        name = re.split("[<>=]", requirement)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
    if absent:
        raise Refused(f"not installed: {', '.join(absent)}; put their wheels into the folder $NETS_WHEELS")


def demand_gpu() -> None:
    """Raise Refused where no GPU works. Nothing is run on it: this process must not be seen there."""
    from nets.machine.device import DeviceError, choose_device

    try:
        choose_device("cuda")
    except DeviceError as error:
        raise Refused(str(error)) from error


def data_for(part: Part) -> dict[str, str]:
    """The variable that names the data folder, in which files that a part needs are unpacked where they lie as .gz.

    Raises Refused with the files that are missing.
    """
    root = Path(os.environ.get("NETS_DATA") or REPOSITORY / "data").resolve()
    if part.needs is None:
        return {"NETS_DATA": ""}  # what it names need not be there
    from nets.datasets.torchvision_sets import SOURCES

    missing = []
    for file in SOURCES[part.needs].files:
        path, packed = root / file, root / f"{file}.gz"
        if not path.is_file() and packed.is_file():
            unpack(packed, path)
        if not path.is_file():
            missing.append(file)
    if missing:
        raise Refused(f"not in {root}, plain or as .gz: {', '.join(missing)}")
    return {"NETS_DATA": str(root)}


def unpack(packed: Path, path: Path) -> None:
    """Unpack a gzipped file, all of it or nothing. Raises Refused."""
    part = path.with_name(f"{path.name}.part")
    try:
        with gzip.open(packed) as source, part.open("wb") as target:
            shutil.copyfileobj(source, target)
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(f"{packed} can't be unpacked: {error}") from error
    part.replace(path)


def run(command: Sequence[str], log: TextIO, seconds: float, environment: Mapping[str, str]) -> int:
    """Run Python with some arguments, print what it says into `log` too, and return its exit code.

    After `seconds`, and when this process is told to end, it is interrupted, and killed when it doesn't heed that.
    """
    started = perf_counter()
    process: subprocess.Popen[str] | None = None

    def send(number: int) -> None:
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def end(*_: object) -> None:
        send(signal.SIGINT)
        timers.append(Timer(GRACE_S, send, [signal.SIGKILL]))
        timers[-1].start()

    def tell(line: str) -> None:
        print(line, end="", flush=True)
        log.write(line)
        log.flush()

    timers = [Timer(seconds, end)]
    # before the process begins: it would inherit that interrupts are ignored, as a background job's are
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        tell(f"$ python {' '.join(command)}\n")
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )
        timers[0].start()
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                tell(line)
        code = process.returncode
        tell(f"gpu-checks: exit code {code} after {perf_counter() - started:.1f} s\n")
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
    return code


if __name__ == "__main__":
    sys.exit(main())
