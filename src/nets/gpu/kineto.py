"""Kineto's chrome-trace files, as torch.profiler writes them -> the events that the figures need.

Format: https://github.com/pytorch/kineto/blob/main/libkineto/src/output_json.cpp, and for AMD GPUs
https://github.com/pytorch/kineto/blob/main/libkineto/src/RocprofActivity_inl.h
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from nets.errors import NetsError
from nets.gpu.occupancy import Incomputable, Launch
from nets.records.base import first_fault

_STEP = re.compile(r"ProfilerStep#\d+")
_KINDS = {
    "user_annotation": "step",
    "cuda_runtime": "launch",
    "cuda_driver": "launch",
    "kernel": "kernel",
    "gpu_memcpy": "copy",
    "gpu_memset": "copy",
}
"""What events of a category are needed as."""
_KINDS_OF_TORCH_1_8 = {
    "Operator": "step",
    "Runtime": "launch",
    "Kernel": "kernel",
    "Memcpy": "copy",
    "Memset": "copy",
}
"""Of torch 1.8's categories, which are recognised, but not read."""
_GRID_IN_THREADS = frozenset({"hipExtModuleLaunchKernel", "hipHccModuleLaunchKernel"})
"""HIP's calls whose global work size Kineto writes as the grid."""


class Unreadable(NetsError):
    """A file that is no trace; the message names the file and what is wrong with it."""


class OddEvent(NetsError):
    """An event with a field that is missing, mistyped or out of range; the message names the field."""


def read_trace(path: Path) -> Cycle:
    """Read a trace, .json or .json.gz. Raises Unreadable."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read()
        if not data.strip():
            raise Unreadable(f"{path}: the file is empty")
        trace = json.loads(data)
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{path}: not JSON, or cut short: {error}") from error
    return Cycle.of(trace, str(path))


_EVENT_CONFIG = ConfigDict(frozen=True, strict=True, allow_inf_nan=False, coerce_numbers_to_str=True)
_Natural = Annotated[int, Field(ge=0, lt=2**63)]
_Sizes = Annotated[list[Annotated[int, Field(gt=0, lt=2**32)]], Field(min_length=3, max_length=3)]


class _Args(BaseModel):
    """An event's args; None for those that the trace doesn't have."""

    model_config = _EVENT_CONFIG

    device: _Natural | None = Field(default=None, validation_alias=AliasChoices("device", "inDevice"))
    correlation: _Natural | None = None
    grid: _Sizes | None = None
    block: _Sizes | None = None
    registers: _Natural | None = Field(default=None, alias="registers per thread")
    shared_bytes: _Natural | None = Field(default=None, alias="shared memory")
    blocks_per_sm: float | None = Field(default=None, alias="blocks per SM", ge=0)
    rounded_pct: float | None = Field(default=None, alias="est. achieved occupancy %")

    @field_validator("blocks_per_sm", "grid", "block", mode="before")
    @classmethod
    def _unknown(cls, value: object) -> object:
        """Kineto writes "inf" where it doesn't know the GPU, and zeros where it doesn't know an AMD GPU's launch."""
        return None if value in ("inf", [0, 0, 0]) else value


class Event(BaseModel):
    """A step, a call of the CUDA runtime or driver, or an operation on a device; `ts` and `dur` in microseconds."""

    model_config = _EVENT_CONFIG

    name: str
    cat: str
    ts: float = Field(ge=-1e18, le=1e18)
    dur: float = Field(ge=0, le=1e18)
    args: _Args = _Args()

    @classmethod
    def of(cls, event: object, kind: str) -> Event:
        """Check an event that is needed as a step, launch, kernel or copy. Raises OddEvent."""
        if not isinstance(event, Mapping):
            raise OddEvent(f"a {type(event).__name__}, not an object")
        if event["cat"] in _KINDS_OF_TORCH_1_8:
            raise OddEvent(f"category {event['cat']!r} is torch 1.8's, which is not read")
        try:
            checked = cls.model_validate(event)
        except ValidationError as error:
            raise OddEvent(first_fault(error)) from error
        if checked.args.device is None and kind in ("kernel", "copy"):
            raise OddEvent(f"field 'args.device' is missing from {checked.name!r:.80}")
        return checked

    @property
    def start_ns(self) -> int:
        """When it began; Kineto writes microseconds with three decimals, of which sums are exact in nanoseconds."""
        return round(1_000 * self.ts)

    @property
    def end_ns(self) -> int:
        """When it ended."""
        return self.start_ns + round(1_000 * self.dur)

    def launch(self) -> Launch:
        """The kernel's launch. Raises Incomputable where the trace doesn't have it."""
        args = self.args
        if args.grid is None or args.block is None or args.registers is None or args.shared_bytes is None:
            needed = "'grid', 'block', 'registers per thread' and 'shared memory'"
            raise Incomputable(f"kernel {self.name!r} doesn't have all of {needed} in the trace")
        return Launch(math.prod(args.grid), math.prod(args.block), args.registers, args.shared_bytes)

    def blocks(self, n_sms: int | None, calls: Mapping[int | None, str] | None = None) -> int | Fraction:
        """The grid's blocks; where the number of SMs is not known, the blocks per SM. Raises Incomputable.

        `calls`: on an AMD GPU, the name of the call with each correlation id, as after some the grid is in threads.
        """
        grid, block = self.args.grid, self.args.block
        if n_sms is None or grid is None:
            if self.args.blocks_per_sm is None:
                lacking = "deviceProperties with 'numSms'" if n_sms is None else "'grid'"
                raise Incomputable(f"kernel {self.name!r} has neither {lacking} nor 'blocks per SM' in the trace")
            return Fraction(self.args.blocks_per_sm) * (n_sms or 1)
        if calls is None:
            return math.prod(grid)
        call = calls.get(self.args.correlation)
        if call is None:
            raise Incomputable(f"kernel {self.name!r}: no launch in the trace tells its grid's unit, blocks or threads")
        if call not in _GRID_IN_THREADS:
            return math.prod(grid)
        if block is None:
            raise Incomputable(f"kernel {self.name!r} has a 'grid' in threads and no 'block' in the trace")
        return math.prod(-(-n_threads // size) for n_threads, size in zip(grid, block, strict=True))

    def rounded_occupancy(self) -> float:
        """The trace's own estimate as a fraction; negative where Kineto failed. Raises Incomputable."""
        pct = self.args.rounded_pct
        if pct is None or not 0 <= pct <= 100:
            has = "no" if pct is None else f"{pct:g} as"
            raise Incomputable(f"kernel {self.name!r} has {has} 'est. achieved occupancy %' in the trace")
        return pct / 100


@dataclass(frozen=True, slots=True)
class Cycle:
    """The events of one trace, which is one cycle of the profiler's schedule, that the figures need.

    `n_left_out` events were needed and made no sense; `faults` has the first reason for each kind of event.
    """

    source: str
    steps: list[Event]
    launches: list[Event]
    kernels: list[Event]
    copies: list[Event]
    properties: object
    n_left_out: int
    faults: Mapping[str, str]

    @classmethod
    def of(cls, trace: object, source: str) -> Cycle:
        """Select these events, and leave out those that make no sense. Raises Unreadable, naming the source."""
        if not isinstance(trace, Mapping):
            raise Unreadable(f"{source}: not a torch.profiler trace: a {type(trace).__name__}, not an object")
        events = trace.get("traceEvents")
        if not isinstance(events, list):
            raise Unreadable(f"{source}: not a torch.profiler trace: it has no list 'traceEvents'")
        if events and not any(isinstance(event, Mapping) for event in events):
            raise Unreadable(
                f"{source}: not a torch.profiler trace: event 0: a {type(events[0]).__name__}, not an object"
            )
        kept: defaultdict[str, list[Event]] = defaultdict(list)
        faults: dict[str, str] = {}
        n_left_out = 0
        for i, event in enumerate(events):
            kind = _kind(event)
            if kind is None:
                continue
            try:
                kept[kind].append(Event.of(event, kind))
            except OddEvent as error:
                n_left_out += 1
                faults.setdefault(kind, f"{source}: event {i}: {error}")
        return cls(
            source,
            steps=kept["step"],
            launches=kept["launch"],
            kernels=kept["kernel"],
            copies=kept["copy"],
            properties=trace.get("deviceProperties"),
            n_left_out=n_left_out,
            faults=faults,
        )

    def lacks(self, kind: str, said: str) -> str:
        """What is `said` of a kind of event, after the reason why such an event was left out."""
        fault = self.faults.get(kind)
        return f"{fault}; else {said}" if fault else f"{self.source}: {said}"

    @property
    def devices(self) -> tuple[int, ...]:
        """The devices on which kernels ran."""
        return tuple(sorted({kernel.args.device for kernel in self.kernels if kernel.args.device is not None}))

    @property
    def on_amd(self) -> bool:
        """Whether HIP's calls are in it: then `device` is an HSA agent's id, and some grids are in threads."""
        return any(call.name.startswith("hip") for call in self.launches)

    def launched_in_step(self) -> dict[int | None, bool]:
        """For the correlation id of each call: whether it was made within a step."""
        steps = sorted((step.start_ns, step.end_ns) for step in self.steps)
        starts = [start for start, _ in steps]
        in_step: dict[int | None, bool] = {}
        for call in self.launches:
            correlation = call.args.correlation
            if correlation is not None:
                i = bisect_right(starts, call.start_ns)
                within = i > 0 and call.start_ns <= steps[i - 1][1]
                in_step[correlation] = in_step.get(correlation, False) or within
        return in_step


def _kind(event: object) -> str | None:
    """What an event is needed as: a step, launch, kernel or copy; None if it is not needed, "event" if it is none."""
    if not isinstance(event, Mapping):
        return "event"
    category = event.get("cat")
    if event.get("ph", "X") != "X" or not isinstance(category, str):
        return None
    kind = _KINDS.get(category) or _KINDS_OF_TORCH_1_8.get(category)
    return kind if kind != "step" or _STEP.fullmatch(str(event.get("name"))) else None
