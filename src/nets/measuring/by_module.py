"""The events of a profile of training steps -> the time of each step by module, forward and backward; pure.

The steps, their parts and every call of a module are ranges in the profile. An event belongs to the innermost range
around it. A node of the backward pass belongs where the operation was that made it. Both have the same sequence number:
autograd counts the nodes that a thread makes, and an operation has, as it begins, the number that the next node will
get. So a node is the last operation's that began with its number or a smaller one.
Source: torch/csrc/autograd/function.h ("NOTE [ Sequence Number]"), and https://github.com/pytorch/pytorch/pull/57182.

What accumulates a parameter's gradient has no number; it follows at once on the node that made the gradient.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["forward", "backward"]
Part = int | Literal["loss", "optimizer", "rest"]
"""A module, by its number, or what of a step belongs to none."""
Place = tuple[Part, Phase]

STEP, LOSS, BACKWARD, OPTIMIZER, MODULE = (
    f"nets: {name}" for name in ("step", "loss", "backward", "optimizer", "module ")
)
"""Names of ranges; a module's ends with its number."""
_NODE = "autograd::engine::evaluate_function: "
_ACCUMULATES = f"{_NODE}torch::autograd::AccumulateGrad"


@dataclass(frozen=True, slots=True)
class Happened:
    """An event on the host: microseconds, and the time on the GPU of what it launched itself, not within another one.

    `sequence`: -1 where it has none. `forward_thread`: of a backward node, the thread that made it; else 0.
    """

    name: str
    thread: int
    start_us: float
    end_us: float
    sequence: int = -1
    forward_thread: int = 0
    device_us: float = 0.0


@dataclass(slots=True)
class TimedStep:
    """A step's time by place, and the modules that did something in it."""

    start_us: float
    end_us: float
    by_place: defaultdict[Place, float] = field(default_factory=lambda: defaultdict(float))
    worked: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Open:
    """An event that goes on, and where what is in it belongs."""

    event: Happened
    step: TimedStep | None
    place: Place


def by_module(events: Iterable[Happened], *, on_device: bool) -> list[TimedStep]:
    """The steps in their order, each with its time by place.

    These add up to the step: to its duration on the host, or `on_device` to all that ran on the GPU. On the host only
    the thread that steps counts, since others run beside it.
    """
    return _Attribution(on_device).steps(events)


class _Attribution:
    """One pass over the events, in the order in which they began."""

    def __init__(self, on_device: bool) -> None:
        self._on_device = on_device
        self._steps: list[TimedStep] = []
        self._open: defaultdict[int, list[_Open]] = defaultdict(list)
        self._numbers: defaultdict[int, list[int]] = defaultdict(list)
        self._places: defaultdict[int, list[Part]] = defaultdict(list)
        self._last_node: dict[int, Part] = {}

    def steps(self, events: Iterable[Happened]) -> list[TimedStep]:
        """Go through them."""
        for event in sorted(events, key=lambda each: (each.start_us, -each.end_us)):
            above = self._open[event.thread]
            while above and event.end_us > above[-1].event.end_us:
                above.pop()
            opened = self._opened(event, above[-1] if above else None)
            self._count(opened, above[-1] if above else None)
            above.append(opened)
        return self._steps

    def _opened(self, event: Happened, outer: _Open | None) -> _Open:
        if event.name == STEP:
            self._steps.append(TimedStep(event.start_us, event.end_us))
            return _Open(event, self._steps[-1], ("rest", "forward"))
        # a thread of autograd's own works while the one that steps waits for it
        step = self._step_at(event.start_us) if outer is None else outer.step
        inherited: Place = ("rest", "backward") if outer is None else outer.place
        is_node = event.name.startswith(_NODE) or event.forward_thread != 0
        place = self._of_node(event, inherited[0]) if is_node else self._of_range(event, inherited)
        if event.sequence >= 0 and not is_node:
            self._numbers[event.thread].append(event.sequence)
            self._places[event.thread].append(place[0])
        return _Open(event, step, place)

    def _step_at(self, start_us: float) -> TimedStep | None:
        last = self._steps[-1] if self._steps else None
        return last if last is not None and start_us <= last.end_us else None

    def _of_range(self, event: Happened, inherited: Place) -> Place:
        """A module that runs in the backward pass is run anew, and stays there."""
        if event.name.startswith(MODULE):
            return int(event.name.removeprefix(MODULE)), inherited[1]
        whole: dict[str, Place] = {
            LOSS: ("loss", "forward"),
            BACKWARD: ("rest", "backward"),
            OPTIMIZER: ("optimizer", "forward"),
        }
        return whole.get(event.name, inherited)

    def _of_node(self, event: Happened, inherited: Part) -> Place:
        if event.name.startswith(_ACCUMULATES):
            return self._last_node.get(event.thread, "rest"), "backward"
        part = inherited
        if event.sequence >= 0:
            i = bisect_right(self._numbers[event.forward_thread], event.sequence)
            part = self._places[event.forward_thread][i - 1] if i else "rest"
            self._last_node[event.thread] = part
        return part, "backward"

    def _count(self, opened: _Open, outer: _Open | None) -> None:
        step, event = opened.step, opened.event
        if step is None:
            return
        part = opened.place[0]
        if isinstance(part, int) and not event.name.startswith(MODULE):
            step.worked.add(part)
        if self._on_device:
            step.by_place[opened.place] += event.device_us
        elif outer is not None or event.name == STEP:
            step.by_place[opened.place] += event.end_us - event.start_us
            if outer is not None and outer.step is step:
                step.by_place[outer.place] -= event.end_us - event.start_us


def folded(step: TimedStep, names: Mapping[int, str], listed: set[int]) -> dict[Place, float]:
    """The time by place, that of modules that are not `listed` in the closest listed one around them.

    `names`: of all modules, by number; the network itself, whose name is empty, is always listed.
    """
    numbers = {name: number for number, name in names.items()}

    def place_of(part: Part) -> Part:
        name = names[part] if isinstance(part, int) else ""
        while isinstance(part, int) and name and part not in listed:
            name = name.rpartition(".")[0]
            part = numbers.get(name, numbers[""])
        return part

    found: dict[Place, float] = {}
    for (part, phase), us in step.by_place.items():
        place = place_of(part), phase
        found[place] = found.get(place, 0.0) + us
    return found
