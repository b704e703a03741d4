"""Whether two records of a cell may be compared, and the rounds of both that belong together; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nets.gate.limits import Fact, Limits
from nets.records.cell import Result, Round
from nets.records.run import Pairing, Run

FIELDS: Mapping[Fact, tuple[str, ...]] = {
    "device": ("device.type", "device.name", "device.mig"),
    "data": ("cell.data_sha256",),
    "protocol": tuple(f"protocol.{name}" for name in ("name", "epochs", "batch_size", "optimizer", "lr")),
    "pipeline": ("pipeline",),
    "threads": ("execution.threads", "execution.wait_policy"),
    "workers": ("where.n_workers",),
}
"""The fields of a record that each fact of `facts` is made of; those of torch and CUDA are the run's."""


def compared_cells(base: Run, head: Run) -> dict[str, ComparedCell]:
    """The cells that both runs have, by id, in order; paired where the runs were measured in turns."""
    pairing = base.pairing if base.pairing == head.pairing else None
    in_base, in_head = ({result.id: result for result in run.cells} for run in (base, head))
    return {
        cell: ComparedCell(in_base[cell], in_head[cell], pairing, differences(base, head, in_base[cell], in_head[cell]))
        for cell in sorted(in_base.keys() & in_head.keys())
    }


def differences(base: Run, head: Run, of_base: Result, of_head: Result) -> dict[Fact, str]:
    """A sentence for each fact that differs between two records of a cell, besides the code under test.

    The number of rounds and their seeds may differ, as may the mode (eager or graph), which the code chooses. Where
    both were measured in turns, each has chosen its own wait policy in the same environment.
    """
    in_turns = base.pairing is not None and base.pairing == head.pairing
    both = zip(
        facts(base, of_base, of_head, in_turns=in_turns), facts(head, of_head, of_base, in_turns=in_turns), strict=True
    )
    return {
        fact: f"another {fact}: base {was or 'none'}, head {is_ or 'none'}"
        for (fact, was), (_, is_) in both
        if was != is_
    }


def facts(run: Run, result: Result, other: Result, *, in_turns: bool = False) -> Iterable[tuple[Fact, str | None]]:
    """What must be the same in both records for a comparison, as `result` has it, always in the same order.

    The data's checksum counts only where both records have one; with the record itself as `other` it always counts.
    `in_turns`: both runs are the two sides of one `nets ab`, whose wait policies may differ.
    """
    device, protocol, execution = result.device, result.protocol, result.execution
    sha256 = result.cell.data_sha256
    is_data_known = sha256 is not None and other.cell.data_sha256 is not None
    return (
        ("device", f"{device}{' (MIG)' if device.mig else ''}"),
        ("torch", run.versions.torch),
        ("cuda", run.versions.cuda),
        ("data", f"SHA-256 {sha256}" if is_data_known and sha256 else None),
        (
            "protocol",
            f"{protocol.name} (epochs {protocol.epochs}, batch size {protocol.batch_size}, {protocol.optimizer}, "
            f"lr {protocol.lr:g})",
        ),
        ("pipeline", result.pipeline),
        ("threads", f"{execution.threads}{'' if in_turns else f' ({execution.wait_policy})'}"),
        ("workers", str(result.where.n_workers)),
    )


@dataclass(frozen=True, slots=True)
class ComparedCell:
    """A cell's records in both runs, and what differs between them; `pairing` where the runs were measured in turns."""

    base: Result
    head: Result
    pairing: Pairing | None
    differences: Mapping[Fact, str]

    @property
    def id(self) -> str:
        """The cell's id."""
        return self.base.id

    @property
    def results(self) -> tuple[Result, Result]:
        """The records of base and head."""
        return self.base, self.head

    def forbidding(self, limits: Limits) -> list[str]:
        """The differences that forbid a comparison."""
        return [sentence for fact, sentence in self.differences.items() if fact not in limits.allow]

    def is_comparable(self, limits: Limits) -> bool:
        """Whether all their figures may be compared."""
        return not self.forbidding(limits) and all(result.outcome.status != "error" for result in self.results)

    @property
    def pairs(self) -> tuple[tuple[Round, Round], ...]:
        """Rounds of the same seed; none where the runs are not paired."""
        return tuple(pair for sitting in self.sittings for pair in sitting)

    @property
    def sittings(self) -> tuple[tuple[tuple[Round, Round], ...], ...]:
        """The pairs that the same two processes ran; a sitting with fewer than the cell's others is left out."""
        if self.pairing is None:
            return ()
        heads = {round_.seed: round_ for round_ in self.head.rounds}
        found: dict[int, list[tuple[Round, Round]]] = {}
        for round_ in self.base.rounds:
            if round_.seed in heads:
                sitting = (round_.seed - self.base.protocol.seed) // self.pairing.rounds
                found.setdefault(sitting, []).append((round_, heads[round_.seed]))
        whole = max(map(len, found.values()), default=0)
        return tuple(tuple(pairs) for pairs in found.values() if len(pairs) == whole)
