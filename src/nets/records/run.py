"""A run's JSON file, read once into one `Run`; a file that is not one is refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from nets.errors import Unusable
from nets.records.base import Record, first_fault, parse
from nets.records.cell import Result
from nets.records.comparisons import Growth, SideBySide
from nets.records.consistency import demand_consistent
from nets.records.foreign import out_of_bounds, parsed_json, read_bytes, read_json
from nets.records.git import subject_of
from nets.records.shards import Reference, Shards
from nets.records.versions import MachineInfo, Text, Versions, versions_of


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


MAX_ROUNDS = 1_000
"""As many as a protocol can have."""


class _NotRun(BaseModel):
    cell: Text
    because: Text


class _Confirmation(BaseModel):
    pairing: Pairing
    cells: list[dict[str, Any]]


class _Reference(BaseModel):
    shard: int
    record: dict[str, Any]


class _Block(BaseModel):
    """What the recorder writes beside the benchmarks."""

    unfinished: list[dict[str, Any]] = []
    not_run: list[_NotRun] = []
    harness: Harness | None = None
    pairing: Pairing | None = None
    confirmation: _Confirmation | None = None
    shards: Shards | None = None
    asked: dict[Text, Text | bool | int | float | None] = {}
    references: list[_Reference] = []
    interrupted: bool = False
    arguments: list[Text] | None = None


class _File(BaseModel):
    benchmarks: list[Any]
    nets: _Block
    machine_info: MachineInfo
    commit_info: CommitInfo = CommitInfo()
    datetime: Text | None = None


def read_run(path: Path) -> Run:
    """Read what `pytest benchmarks/ --benchmark-json` wrote. Raises Unusable, naming the file and the field."""
    return read_with_bytes(path)[0]


def read_with_bytes(path: Path) -> tuple[Run, bytes]:
    """The same, and the file's bytes. Raises Unusable, naming the file and the field."""
    text = read_bytes(path)
    return parsed_run(_demand_nets(parsed_json(text, path), path), str(path)), text


def read_content(path: Path) -> dict[str, Any]:
    """The same as plain JSON, not looked into yet. Raises Unusable for what is not a file of nets."""
    return _demand_nets(read_json(path), path)


def _demand_nets(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        raise Unusable(f"{path}: not a pytest-benchmark file: it has no list 'benchmarks'")
    if not isinstance(content.get("nets"), dict):
        raise Unusable(f"{path}: written by pytest-benchmark, but not by nets: it has no field 'nets'")
    return content


def parsed_run(content: Mapping[str, Any], source: str) -> Run:
    """A file's content -> the run. Raises Unusable, naming `source` and the field."""
    for part in ("nets", "machine_info", "commit_info", "datetime"):
        if (fault := out_of_bounds(content.get(part), part)) is not None:
            raise Unusable(f"{source}: {fault}")
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise Unusable(f"{source}: {first_fault(error)}") from error
    results: list[Result] = []
    timings: list[Mapping[str, Any]] = []
    compared: list[SideBySide] = []
    growth: list[Growth] = []
    for i, benchmark in enumerate(file.benchmarks):
        record = benchmark.get("extra_info") if isinstance(benchmark, dict) else None
        if not isinstance(record, dict) or "schema" not in record:
            continue  # a benchmark that is no cell's may stand beside
        where = f"{source}: benchmarks.{i}"
        match record.get("kind"):
            case "side_by_side":
                compared.append(parse(record, where, SideBySide))
            case "growth":
                growth.append(parse(record, where, Growth))
            case _:
                timings.append({key: value for key, value in benchmark.items() if key != "extra_info"})
                results.append(_result(record, where, timings[-1]))
    return Run(
        source=source.encode(errors="replace").decode(),  # a file's name need not be text
        results=tuple(results),
        timings=tuple(timings),
        side_by_side=tuple(compared),
        growth=tuple(growth),
        unfinished=tuple(
            _result(record, f"{source}: nets.unfinished.{i}", None) for i, record in enumerate(file.nets.unfinished)
        ),
        not_run=tuple((each.cell, each.because) for each in file.nets.not_run),
        versions=versions_of(content["machine_info"]),
        pairing=file.nets.pairing,
        confirmation=_confirmation(file.nets.confirmation, source),
        harness=file.nets.harness,
        commit=file.commit_info,
        ran=file.datetime,
        shards=file.nets.shards,
        asked=file.nets.asked,
        references=tuple(
            Reference(each.shard, _result(each.record, f"{source}: nets.references.{i}", None))
            for i, each in enumerate(file.nets.references)
        ),
        interrupted=file.nets.interrupted,
        arguments=None if file.nets.arguments is None else tuple(file.nets.arguments),
    )


def _confirmation(block: _Confirmation | None, source: str) -> Confirmation | None:
    if block is None:
        return None
    where = f"{source}: nets.confirmation.cells"
    cells = (_result(record, f"{where}.{i}", None) for i, record in enumerate(block.cells))
    return Confirmation(block.pairing, tuple(cells))


def _result(record: object, where: str, timing: Mapping[str, Any] | None) -> Result:
    result = parse(record, where, Result)
    if len(result.rounds) > MAX_ROUNDS:
        raise Unusable(f"{where}: field 'rounds': {len(result.rounds):,} rounds; a cell has at most {MAX_ROUNDS:,}")
    demand_consistent(result, timing, where)
    return result


def is_benchmark_file(path: Path) -> bool:
    """Whether pytest-benchmark wrote it, usable or not."""
    try:
        content = read_json(path)
    except Unusable:
        return False
    return isinstance(content, dict) and "benchmarks" in content


def with_subject(run: Run) -> Run:
    """The run with the first line of its commit's message, where the file, or the repository here, knows it."""
    subject = run.commit.subject or subject_of(run.commit.id)
    return replace(run, commit=run.commit.model_copy(update={"subject": subject}))
