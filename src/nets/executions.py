"""How the steps of a cell's rounds were executed, round by round, and what a record says of all."""

from __future__ import annotations

from dataclasses import dataclass, field

from nets.pipelines.stepwise import Stepwise


@dataclass(frozen=True, slots=True)
class _Execution:
    """See `Stepwise`."""

    mode: str
    fallback_because: str | None
    recorded_peak_bytes: int


@dataclass(slots=True)
class Executions:
    """Those of the rounds; without a round, of scratch networks."""

    _of_rounds: list[_Execution] = field(default_factory=list)
    _of_scratch: list[_Execution] = field(default_factory=list)

    def note(self, trainer: Stepwise, *, is_round: bool) -> None:
        """Keep how a trainer executes its steps."""
        these = self._of_rounds if is_round else self._of_scratch
        these.append(_Execution(trainer.mode, trainer.fallback_because, trainer.recorded_peak_bytes))

    @property
    def mode(self) -> str:
        """`eager` if it was so in any."""
        modes = {each.mode for each in self._of_rounds or self._of_scratch}
        return modes.pop() if len(modes) == 1 else "eager"

    @property
    def fallback_because(self) -> str | None:
        """Why not as the pipeline would have them, and in how many rounds if not in all."""
        found = self._of_rounds or self._of_scratch
        reasons = [each.fallback_because for each in found if each.fallback_because is not None]
        if not reasons or len(reasons) == len(found):
            return reasons[0] if reasons else None
        return f"in {len(reasons)} of {len(found)} rounds: {reasons[0]}"

    @property
    def recorded_peak_bytes(self) -> int:
        """The GPU's memory at most while rounds' steps were recorded, which replays use without allocating it again."""
        return max((each.recorded_peak_bytes for each in self._of_rounds), default=0)
