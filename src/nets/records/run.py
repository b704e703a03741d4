"""A run: all that its file says, in one value, and the parts of that which are no cell's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import BaseModel, Field

from nets.errors import Unusable
from nets.records.base import Record
from nets.records.cell import Result
from nets.records.comparisons import Growth, SideBySide
from nets.records.git import subject_of
from nets.records.shards import Reference, Shards
from nets.records.versions import Text, Versions


class Pairing(Record):
    """The same on two runs that were measured in turns.

    `rounds`: how many of a cell's rounds one pair of processes ran at most, one after the other, with seeds in a row;
    together they count once, since what a process is dealt at its start stays with it. `looks`: at how many numbers of
    sittings a cell could stop.
    """

    id: str = Field(min_length=1, max_length=200)
    rounds: int = Field(ge=1, le=1_000)
    looks: int = Field(ge=1, le=1_000)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The cells that were measured again, in sittings that share no data with the file's other rounds."""

    pairing: Pairing
    results: tuple[Result, ...]


Part = Literal["import", "data", "setup", "soak", "trace"]


class Harness(Record):
    """A session's wall time, from the start of its process to its summary, in parts that add up to it.

    `timed_s`: train + evaluate of all rounds. `import_s`: up to the first test: interpreter, imports, collection.
    `data_s`: loading data sets and making batches of them. `setup_s`: building, warm-up, capture. `other_s`: the rest.
    """

    wall_s: float = Field(ge=1e-3)
    timed_s: float = Field(ge=0)
    import_s: float = Field(ge=0)
    data_s: float = Field(ge=0)
    setup_s: float = Field(ge=0)
    soak_s: float = Field(ge=0)
    trace_s: float = Field(ge=0)
    other_s: float

    @property
    def cost_s(self) -> float:
        """What is not timed."""
        return self.wall_s - self.timed_s

    @property
    def parts(self) -> dict[str, float]:
        """What is not timed, by name, in seconds."""
        return {
            "import": self.import_s, "data": self.data_s, "set-up": self.setup_s, "soak": self.soak_s,
            "trace": self.trace_s, "other": self.other_s,
        }  # fmt: skip

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.parts.items())
        return (
            f"harness: {self.cost_s:.1f} s of {self.wall_s:.1f} s of wall time ({self.cost_s / self.wall_s:.1%}) "
            f"lie outside the timed regions: {parts}"
        )


class CommitInfo(BaseModel):
    """What pytest-benchmark says of the commit that a run was of; `subject`, its first line, is added by nets."""

    id: Text | None = None
    subject: Text | None = None
    time: Text | None = None
    dirty: bool = False
    branch: Text | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """All of one run's file.

    `results`: the cells with a timing; `timings`: pytest-benchmark's own entry of each, without the record;
    `unfinished`: the cells that broke off; `not_run`: (cell, reason) of the others. `side_by_side` and `growth` are the
    records of such benchmarks. `pairing`: the same on two runs that were measured in turns, round by round; None for
    any other; `confirmation`: the second measurement of the cells that had changed in the first. `ran`: when it was
    written, as the file says it; `arguments`: pytest's, as they were given, None in files of before.
    """

    source: str
    results: tuple[Result, ...] = ()
    unfinished: tuple[Result, ...] = ()
    not_run: tuple[tuple[str, str], ...] = ()
    versions: Versions = field(default_factory=Versions)
    pairing: Pairing | None = None
    confirmation: Confirmation | None = None
    timings: tuple[Mapping[str, Any], ...] = ()
    side_by_side: tuple[SideBySide, ...] = ()
    growth: tuple[Growth, ...] = ()
    harness: Harness | None = None
    commit: CommitInfo = field(default_factory=CommitInfo)
    ran: str | None = None
    shards: Shards | None = None
    asked: Mapping[str, str | bool | int | float | None] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    interrupted: bool = False
    arguments: tuple[str, ...] | None = None

    @property
    def cells(self) -> tuple[Result, ...]:
        """Every record, timed or not."""
        return (*self.results, *self.unfinished)

    @property
    def why_not_run(self) -> dict[str, str]:
        """Why each cell did not run, by its id."""
        return dict(reversed(self.not_run))

    @property
    def confirming(self) -> Run | None:
        """The second measurement as a run of its own; None where there is none."""
        again = self.confirmation
        if again is None:
            return None
        finished = tuple(result for result in again.results if result.outcome.status != "error")
        return replace(self, results=finished, unfinished=(), timings=(), pairing=again.pairing, confirmation=None)

    def only(self, cells: Container[str]) -> Run:
        """The run as if of these cells alone."""
        timed = zip(self.results, self.timings, strict=False)
        return replace(
            self,
            results=tuple(result for result in self.results if result.id in cells),
            timings=tuple(timing for result, timing in timed if result.id in cells),
            unfinished=tuple(result for result in self.unfinished if result.id in cells),
            not_run=tuple(each for each in self.not_run if each[0] in cells),
        )

    def demand_one_record_a_cell(self) -> None:
        """Refuse a run in which several tests measured one cell. Raises Unusable, naming cell and tests."""
        for cell, n in Counter(result.id for result in self.cells).items():
            if n > 1:
                named = [
                    str(timing.get("fullname"))
                    for result, timing in zip(self.results, self.timings, strict=False)
                    if result.id == cell
                ]
                tests = f" ({', '.join(named)})" if named else ""
                raise Unusable(
                    f"{self.source}: the cell {cell} is there {n} times{tests}; which one is meant can't be told"
                )


def with_subject(run: Run) -> Run:
    """The run with the first line of its commit's message, where the file, or the repository here, knows it."""
    subject = run.commit.subject or subject_of(run.commit.id)
    return replace(run, commit=run.commit.model_copy(update={"subject": subject}))
