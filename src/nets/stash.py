"""Under which keys the session and its tests hold what the suite's hooks and fixtures share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nets.options import Options
    from nets.progress import ProgressLine
    from nets.recorder import Recorder
    from nets.records.cell import Result
    from nets.training.run import CellRun

OPTIONS: pytest.StashKey[Options] = pytest.StashKey()
"""The session's."""
RECORDER: pytest.StashKey[Recorder] = pytest.StashKey()
"""The session's."""
RUN: pytest.StashKey[CellRun] = pytest.StashKey()
"""A test's, while its cell is run."""
PROGRESS: pytest.StashKey[ProgressLine] = pytest.StashKey()
"""A test's, where somebody is watching."""
RESULT: pytest.StashKey[Result] = pytest.StashKey()
"""A test's, once its cell was judged."""
