"""Measures base against head: the screen finds which cells have changed, the confirmation measures these again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from nets.ab import child_plugin
from nets.ab.child import PLUGIN, ChildSpec
from nets.ab.interleave import StopRequest
from nets.ab.leftovers import own_folder
from nets.ab.looks import TooFewSittings, plan
from nets.ab.reporter import Reporter
from nets.ab.sittings import AbSettings, SittingSeries
from nets.errors import Unusable, counted
from nets.gate.confirmation import to_confirm
from nets.gate.levels import Stage, looks
from nets.records.run import Pairing
from nets.records.run_file import read_run
from nets.verdicts.bands import Bands
from nets.verdicts.merge import Sittings, merge_runs

SCREEN_S_SHARE = 0.6
"""Of the time that all of it may take: what the screen finds has to be confirmed in the rest."""


def measure(
    sides: tuple[ChildSpec, ChildSpec],
    bands: Sequence[Bands | str],
    settings: AbSettings,
    stop: StopRequest,
    reporter: Reporter,
) -> None:
    """Measure base and head until every cell is decided, and again those that have changed, or a stop is requested.

    Each side's rounds of all sittings are written to its `json` after each sitting, so that a process that is killed
    keeps the finished ones; `bands`: each side's, or why it has none. A second request to stop comes as
    KeyboardInterrupt: then of the sitting under way only what its files hold is kept, and a third doesn't wait for
    these. Raises Unusable, also where no sitting was finished: then what was at `json` is still there.
    """
    for side in sides:
        side.log.unlink(missing_ok=True)
    with own_folder() as folder:
        shutil.copy(child_plugin.__file__, folder / f"{PLUGIN}.py")
        _Measurement(sides, bands, settings, stop, reporter, folder).run()


class _Measurement:
    """Both stages, and the files of the sittings that are over."""

    def __init__(
        self,
        sides: tuple[ChildSpec, ChildSpec],
        bands: Sequence[Bands | str],
        settings: AbSettings,
        stop: StopRequest,
        reporter: Reporter,
        folder: Path,
    ) -> None:
        self._sides, self._bands, self._settings = sides, bands, settings
        self._stop, self._reporter, self._folder = stop, reporter, folder
        self._began = time.monotonic()
        self._n_written = 0
        self._stages: list[SittingSeries] = []

    def run(self) -> None:
        """Run the screen, and the confirmation of what it has found."""
        cells = {side.name: self._settings.cells for side in self._sides}
        screen = self._stage("screen", cells, None, SCREEN_S_SHARE)
        self._sit(screen)
        if not screen.files:
            raise Unusable("no sitting was finished by both sides, and nothing is written")
        base, head = (read_run(side.json) for side in self._sides)
        changed = to_confirm(base, head, self._settings.limits)
        if not changed or self._stop.is_made:
            return
        tests = frozenset(screen.tests[cell] for cell in changed if cell in screen.tests)
        if (because := self._why_not_again(len(tests))) is not None:
            self._reporter.warn(f"not measured again, though it has changed: {', '.join(changed)}: {because}")
            return
        self._reporter.say(f"measured again, before anything is said of it: {', '.join(changed)}")
        self._sit(self._stage("confirmation", screen.cells, tests, 1.0))

    def _why_not_again(self, n_cells: int) -> str | None:
        """Why so many cells can't be measured again, which loses nothing of the screen; None where they can."""
        if time.monotonic() >= self._began + self._settings.max_s:
            return "the time is up (--max-minutes)"
        try:
            plan("confirmation", n_cells, self._settings.max_sittings, self._settings.limits)
        except TooFewSittings as error:
            return str(error)
        return None

    def _stage(
        self, stage: Stage, cells: Mapping[str, tuple[str, ...]], only: frozenset[str] | None, share: float
    ) -> SittingSeries:
        first = sum(each.settings.max_sittings for each in self._stages)
        made = SittingSeries(
            stage=stage,
            sides=self._sides,
            cells=cells,
            only=only,
            settings=self._settings,
            stop=self._stop,
            reporter=self._reporter,
            folder=self._folder,
            first=first,
            deadline=self._began + share * self._settings.max_s,
            written=self._write,
        )
        self._stages.append(made)
        return made

    def _sit(self, series: SittingSeries) -> None:
        try:
            series.run()
        finally:
            self._write()  # what an error or a third Ctrl-C found not yet written
        if series.is_out_of_time:
            of_cells = counted(len(series.undecided), "cell")
            self._reporter.say(f"the time is up (--max-minutes) with {of_cells} not decided in the {series.stage}")

    def _write(self) -> None:
        """Write the result file of each side; not where no sitting was finished since the last time."""
        n_files = sum(len(series.files) for series in self._stages)
        if n_files == self._n_written:
            return
        pairing_id = uuid4().hex  # anew, so that a file that was not replaced in time is no pair of one that was
        for i, (side, bands) in enumerate(zip(self._sides, self._bands, strict=True)):
            screen, *confirmation = (
                Sittings([files[i] for files in series.files], self._pairing(pairing_id, series.stage))
                for series in self._stages
                if series.files
            )
            merge_runs(screen, bands, side.json, *confirmation)
        self._n_written = n_files

    def _pairing(self, pairing_id: str, stage: Stage) -> Pairing:
        n_looks = len(looks(stage, self._settings.max_sittings))
        return Pairing(id=f"{pairing_id}-{stage}", rounds=self._settings.n_rounds, looks=n_looks)
