"""What follows the screen of `nets ab`, whatever it has found."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nets.ab import measure
from nets.ab.interleave import StopRequest
from nets.ab.reporter import Reporter
from nets.ab.sittings import AbSettings
from nets.gate.limits import Limits


class Heard(Reporter):
    """Keeps what it was warned of."""

    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, sentence: str) -> None:
        """One sentence more."""
        self.warned.append(sentence)


def stages(monkeypatch: pytest.MonkeyPatch, *, max_sittings: int = 48, max_s: float = 60.0) -> tuple[list[str], str]:
    """The stages that are run where the screen finds two cells changed, and what was warned of."""
    settings = AbSettings((), n_rounds=1, adapts=True, max_sittings=max_sittings, max_s=max_s, seed=0, limits=Limits())
    sides = cast(Any, [SimpleNamespace(name="base", json=Path())] * 2)
    heard, run = Heard(), list[str]()
    made = measure._Measurement(sides, [], settings, StopRequest(), heard, Path())

    def stage(name: str, *_: object) -> SimpleNamespace:
        def work() -> None:
            run.append(name)

        tests = {"a": "test_a", "b": "test_b"}
        return SimpleNamespace(files=["x"], tests=tests, cells={}, run=work, is_out_of_time=False)

    monkeypatch.setattr(measure, "read_run", lambda _: None)
    monkeypatch.setattr(measure, "to_confirm", lambda *_: ("a", "b"))
    monkeypatch.setattr(made, "_stage", stage)
    monkeypatch.setattr(made, "_write", lambda: None)
    made.run()
    return run, "".join(heard.warned)


def test_what_has_changed_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The confirmation follows the screen."""
    assert stages(monkeypatch) == (["screen", "confirmation"], "")


def test_more_cells_than_the_confirmation_can_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the screen has measured is kept, and judged as not enough data, which the user is told the reason of."""
    run, warned = stages(monkeypatch, max_sittings=7)
    assert run == ["screen"]
    assert "a, b: 7 sittings can't decide 2 cells: it takes at least 8; give more --max-sittings" in warned


def test_no_time_is_left_to_confirm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen whose one sitting took longer than all of it may take is the last thing that is done."""
    run, warned = stages(monkeypatch, max_s=0.0)
    assert run == ["screen"]
    assert "the time is up (--max-minutes)" in warned
