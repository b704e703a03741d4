"""What a run's file says of the machine and of the versions that it ran under, whatever they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated

from pydantic import AfterValidator, BaseModel

MAX_NAMES = 100
"""As many further versions and settings of a file are kept: a damaged one may have any number."""


def _printable(text: str) -> str:
    return text.encode(errors="replace").decode()


Text = Annotated[str, AfterValidator(_printable)]
"""Of a file that anyone may have written: half of a surrogate pair, which can't be written again, is replaced."""
SAID_ELSEWHERE = frozenset(
    {"node", "python_version", "python_implementation_version", "nets.device", "nets.hosts", "nets.wait_policy"}
    | {f"nets.{name}" for name in ("cuda", "cudnn", "versions.torch", "versions.python")}
)
"""What of `machine_info` a record, or a field of `Versions`, has as well."""
OF_PACKAGES = "nets.versions."


@dataclass(frozen=True, slots=True)
class Versions:
    """What a run ran under; None where it has none, or the file doesn't say.

    `others`: further versions by the package's name, and all else by its dotted place in the file.
    """

    torch: str | None = None
    cuda: str | None = None
    cudnn: str | None = None
    python: str | None = None
    others: Mapping[str, str | None] = field(default_factory=dict)

    def by_name(self) -> dict[str, str | None]:
        """Each that is known, or known to be none."""
        return {"torch": self.torch, "cuda": self.cuda, "cudnn": self.cudnn, "python": self.python, **self.others}


class _Versions(BaseModel):
    torch: Text | None = None
    python: Text | None = None


class MachineOfNets(BaseModel):
    """What is needed of `machine_info.nets`, as `nets.machine.device.machine_facts` makes it."""

    versions: _Versions = _Versions()
    cuda: Text | None = None
    cudnn: int | None = None


class MachineInfo(BaseModel):
    """What is needed of pytest-benchmark's `machine_info`."""

    nets: MachineOfNets = MachineOfNets()


def versions_of(machine_info: Mapping[str, object]) -> Versions:
    """Of a file's `machine_info`, or of what it will be. Raises pydantic's ValidationError."""
    nets = MachineInfo.model_validate(machine_info).nets
    return Versions(
        torch=nets.versions.torch,
        cuda=nets.cuda,
        cudnn=None if nets.cudnn is None else str(nets.cudnn),
        python=nets.versions.python,
        others=dict(islice(_others(machine_info), MAX_NAMES)),
    )


def _others(machine_info: Mapping[str, object]) -> Iterator[tuple[str, str | None]]:
    """pytest-benchmark's own words, and what nets adds to them; not the table of what cpuinfo measures of a CPU."""
    for name, value in flat({key: value for key, value in machine_info.items() if key != "cpu"}):
        if not any(name == said or name.startswith(f"{said}.") for said in SAID_ELSEWHERE):
            yield name.removeprefix(OF_PACKAGES) if name.startswith(OF_PACKAGES) else f"machine_info.{name}", value


def flat(table: Mapping[str, object], before: str = "") -> Iterator[tuple[str, str | None]]:
    """Each value of tables in one another by its dotted name, as text; a list as one value."""
    for key, value in table.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{name}.")
        else:
            text = None if value is None else str(value)
            yield (
                name.encode(errors="replace").decode(),
                None if text is None else text.encode(errors="replace").decode(),
            )
