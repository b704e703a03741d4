"""Whether two records of a cell may be compared, and the rounds of both that belong together; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nets.gate.limits import Fact
from nets.records.cell import Result, Round
from nets.records.run import Pairing, Run


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that forbids a comparison, with its value in both runs."""

    fact: Fact
    base: str
    head: str

    def __str__(self) -> str:
        return f"another {self.fact}: base {self.base}, head {self.head}"


def differences(base: Run, head: Run, of_base: Result, of_head: Result) -> tuple[Difference, ...]:
    """What differs between two records of a cell besides the code under test.

    The number of rounds and their seeds may differ, as may the mode (eager or graph), which the code chooses.
    """
    return tuple(
        Difference(fact, was or "none", is_ or "none")
        for (fact, was), (_, is_) in zip(facts(base, of_base, of_head), facts(head, of_head, of_base), strict=True)
        if was != is_
    )


def facts(run: Run, result: Result, other: Result) -> Iterable[tuple[Fact, str | None]]:
    """What must be the same in both records for a comparison, as `result` has it, always in the same order.

    The data's checksum counts only where both records have one; with the record itself as `other` it always counts.
    """
    device, protocol, execution = result.device, result.protocol, result.execution
    sha256 = result.cell.data_sha256
    is_data_known = sha256 is not None and other.cell.data_sha256 is not None
    return (
        ("device", f"{device.type}: {device.name}{' (MIG)' if device.mig else ''}"),
        ("torch", run.versions.torch),
        ("cuda", run.versions.cuda),
        ("data", f"SHA-256 {sha256}" if is_data_known and sha256 else None),
        (
            "protocol",
            f"{protocol.name} (epochs {protocol.epochs}, batch size {protocol.batch_size}, {protocol.optimizer}, "
            f"lr {protocol.lr:g})",
        ),
        ("pipeline", result.pipeline),
        # where two revisions were measured in turns, each has chosen its own wait policy in the same environment
        ("threads", f"{execution.threads}{f' ({execution.wait_policy})' if run.pairing is None else ''}"),
        ("workers", str(result.where.n_workers)),
    )


@dataclass(frozen=True, slots=True)
class ComparableCell:
    """A cell's records in both runs, comparable; `pairing` where the runs were measured in turns."""

    base: Result
    head: Result
    pairing: Pairing | None

    @property
    def id(self) -> str:
        """The cell's id."""
        return self.base.id

    @property
    def results(self) -> tuple[Result, Result]:
        """The records of base and head."""
        return self.base, self.head

    @property
    def pairs(self) -> tuple[tuple[Round, Round], ...]:
        """Rounds of the same seed; none where the runs are not paired."""
        return tuple(pair for sitting in self.sittings for pair in sitting)

    @property
    def sittings(self) -> tuple[tuple[tuple[Round, Round], ...], ...]:
        """The pairs that the same two processes ran; a sitting that lacks any of its rounds is left out."""
        if self.pairing is None:
            return ()
        heads = {round_.seed: round_ for round_ in self.head.rounds}
        found: dict[int, list[tuple[Round, Round]]] = {}
        for round_ in self.base.rounds:
            if round_.seed in heads:
                sitting = (round_.seed - self.base.protocol.seed) // self.pairing.rounds
                found.setdefault(sitting, []).append((round_, heads[round_.seed]))
        return tuple(tuple(pairs) for pairs in found.values() if len(pairs) == self.pairing.rounds)
