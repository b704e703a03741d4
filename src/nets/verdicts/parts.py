"""The files that a run was written into, shard by shard, and whether they are of one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nets.errors import Unusable
from nets.records.base import SCHEMA
from nets.records.cell import Device, Result
from nets.records.run import Run
from nets.records.run_file import parsed_run, read_content
from nets.records.shards import Shards
from nets.records.versions import Versions


@dataclass(frozen=True, slots=True)
class Part:
    """A file that is joined with others: its content, and the run that it holds."""

    path: Path
    content: dict[str, Any]
    run: Run

    @property
    def shard(self) -> int | None:
        """The number of the shard that it is; None for a run that is none, and for several joined ones."""
        shards = self.run.shards
        return shards.here[0] if shards is not None and len(shards.here) == 1 else None

    @property
    def results(self) -> tuple[Result, ...]:
        """All records."""
        return (*self.run.cells, *(reference.result for reference in self.run.references))

    def is_own(self, cell: str) -> bool:
        """Whether the cell's record is to come from this part, not from another shard."""
        shards = self.run.shards
        return shards is None or cell not in shards.cells or shards.cells[cell][0] in shards.here


def read_parts(files: Sequence[Path]) -> list[Part]:
    """Read each file. Raises Unusable for one that is not of nets, or of another schema."""
    parts = []
    for path in files:
        content = read_content(path)
        if (schema := content["nets"].get("schema")) != SCHEMA:
            found = f"field 'nets.schema' is {schema!r:.80}; this version of nets reads {SCHEMA}: measure it again"
            raise Unusable(f"{path}: {found}")
        parts.append(Part(path, content, parsed_run(content, str(path))))
    return parts


def demand_one_run(parts: Sequence[Part], *, partial: bool = False) -> None:
    """Refuse what are no parts of one run: overlapping, unlike, or not all; `partial` allows the last.

    Raises Unusable, naming the files and what differs.
    """
    if len(parts) > 1:
        _demand_no_pairing(parts)
    _demand_apart(parts)
    _demand_alike(parts)
    shards = joined_shards(parts)
    if shards is not None and shards.missing and not partial:
        missing = ", ".join(f"{number}/{shards.of}" for number in shards.missing)
        what = "shard" if len(shards.missing) == 1 else "shards"
        raise Unusable(
            f"none of the files has the {what} {missing} of the run: add it or join what there is by --partial"
        )


def joined_shards(parts: Sequence[Part]) -> Shards | None:
    """Those that the files have together; None where they are no shards."""
    first = parts[0].run.shards
    if first is None:
        return None
    here = sorted(number for part in parts if part.run.shards is not None for number in part.run.shards.here)
    return first.replace(here=tuple(here))


def _demand_no_pairing(parts: Sequence[Part]) -> None:
    for part in parts:
        if part.run.pairing is not None:
            because = "its rounds belong to those of the other side, and a joined file would lose that"
            raise Unusable(f"{part.path}: it is a side of a nets ab: {because}")


def _demand_apart(parts: Sequence[Part]) -> None:
    """No shard, and no cell but a reference, may be there twice; all are shards of one division, or none is."""
    first, of_shard, of_cell = parts[0], dict[int, Path](), dict[str, Path]()
    for part in parts:
        ours, theirs = part.run.shards, first.run.shards
        if (ours is None) != (theirs is None):
            shard, whole = (first, part) if ours is None else (part, first)
            raise Unusable(f"{whole.path}: it is no shard, and {shard.path} is one: they are of two runs")
        if ours is not None and theirs is not None:
            if ours.of != theirs.of:
                raise Unusable(f"{part.path}: a shard of {ours.of}, but {first.path} of {theirs.of}")
            if (other := _difference(ours, theirs)) is not None:
                raise Unusable(f"{part.path}: other cells were dealt out than for {first.path}: {other}")
            for number in ours.here:
                if number in of_shard:
                    where = f"in {of_shard[number]}, too"
                    raise Unusable(f"{part.path}: it holds the shard {number}/{ours.of}, which is {where}")
                of_shard[number] = part.path
        for cell in dict.fromkeys(result.id for result in part.run.cells if part.is_own(result.id)):
            if cell in of_cell:
                raise Unusable(f"{part.path}: the cell {cell} is in {of_cell[cell]}, too; which one is meant?")
            of_cell[cell] = part.path


def _difference(ours: Shards, theirs: Shards) -> str | None:
    """A cell that only one of the two has, or that lies elsewhere."""
    if ours.cells == theirs.cells:
        return None
    cells = dict.fromkeys((*ours.cells, *theirs.cells))
    return next(cell for cell in cells if ours.cells.get(cell) != theirs.cells.get(cell))


def _demand_alike(parts: Sequence[Part]) -> None:
    """What one run has one of, all parts must have alike."""
    facts = (
        (name, value, str(part.path))
        for part in parts
        for name, value in (
            *_of_the_run(part),
            *(fact for result in part.results if result.rounds for fact in of_a_cell(result)),
        )
    )
    if (differ := unlike(facts)) is not None:
        raise Unusable(f"{differ}: they are of two runs")


def unlike(facts: Iterable[tuple[str, object, str]]) -> str | None:
    """The first fact (what, its value, whose) that two have unlike: `b: another torch than a: 2.11, not 2.15`."""
    seen: dict[str, tuple[object, str]] = {}
    for name, value, whose in facts:
        was, first = seen.setdefault(name, (value, whose))
        if was != value and first != whose:
            return f"{whose}: another {name} than {first}: {_text(value)}, not {_text(was)}"
    return None


def _text(value: object) -> str:
    return "none" if value is None else str(value)


def _of_the_run(part: Part) -> Iterator[tuple[str, object]]:
    """The options; and versions and commit, where anything was measured."""
    yield from ((f"--{name.replace('_', '-')}", value) for name, value in part.run.asked.items())
    if part.results:
        yield from of_versions(part.run.versions)
        yield "commit", part.run.commit.id
        yield "state of the working tree (dirty or not)", "dirty" if part.run.commit.dirty else "clean"


def of_versions(versions: Versions) -> Iterator[tuple[str, object]]:
    """Those of packages, Python and CUDA; what else a file says of its machine may differ within a run."""
    for name, version in versions.by_name().items():
        if not name.startswith("machine_info."):
            yield f"version of {name}" if name not in ("torch", "cuda", "cudnn", "python") else name, version


def of_a_device(device: Device) -> Iterator[tuple[str, object]]:
    """Its kind and its driver."""
    yield "device", f"{device}{' (MIG)' if device.mig else ''}"
    yield "driver", device.driver


def of_a_cell(result: Result) -> Iterator[tuple[str, object]]:
    """What is the same for all cells of a run, for all of a data set, or for all of a batch size."""
    execution, protocol, dataset = result.execution, result.protocol, result.cell.dataset
    yield from of_a_device(result.device)
    yield "pipeline", result.pipeline
    yield "number of workers", result.where.n_workers
    yield "wait policy of OpenMP", execution.wait_policy
    yield f"number of threads for batches of {protocol.batch_size}", execution.threads
    yield "protocol", f"{protocol.optimizer}, {protocol.rounds} rounds, seed {protocol.seed}, lr {protocol.lr:g}"
    yield (
        f"protocol of {dataset}",
        f"{protocol.name} (epochs {protocol.epochs}, batch size {protocol.batch_size})",
    )
    if result.cell.data_sha256 is not None:
        yield f"content of {dataset}", f"SHA-256 {result.cell.data_sha256}"
