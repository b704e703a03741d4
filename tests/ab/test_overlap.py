"""What both sides of a sitting do at once, and what a sitting leaves for the next one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from nets.ab.child import Child, Waiting
from nets.ab.interleave import Sitting, StopRequest
from tests.ab.test_interleave import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """In a folder of its own."""
    return Repository(tmp_path)


class Scripted:
    """A side that does at once what it is told, and keeps what that was."""

    def __init__(self, name: str, told: list[tuple[str, object]], *, on_gpu: bool) -> None:
        self.spec = SimpleNamespace(name=name)
        self.collected, self.on_gpu, self.at = {"t": "a"}, on_gpu, Waiting("t", 0, None)
        self._told, self._n_done = told, 0

    def begin(self, order: list[str]) -> None:
        """Wait in the only test."""

    def tell(self, step: str) -> None:
        """Note the step, and do it."""
        self._told.append((self.spec.name, step))
        self._n_done += step == "go"
        self.at = None if step == "enough" else Waiting("t", self._n_done, 0.5)  # type: ignore[assignment]

    def hear(self) -> None:
        """Note that one has waited for it."""
        self._told.append((self.spec.name, "heard"))

    def answer(self, step: str) -> None:
        """Both."""
        self.tell(step)
        self.hear()

    def waits_in(self, test: str) -> bool:
        """Whether it has not ended."""
        return self.at is not None


@pytest.mark.parametrize("on_gpu", [False, True])
def test_what_both_sides_do_at_once(on_gpu: bool) -> None:
    """Both set up and end at once, told before either is waited for; on a GPU neither; rounds are alone in any case."""
    told: list[tuple[str, object]] = []
    base, head = (cast(Child, Scripted(name, told, on_gpu=on_gpu)) for name in ("base", "head"))
    sitting = Sitting(base, head, 1, StopRequest())
    sitting.begin(["t"], alone=True)
    sitting.take_turns()
    rounds = [(side, step) for side in ("base", "head") for step in ("go", "heard")]
    started = [("base", "heard"), ("head", "heard")]
    at_once = [("base", "set up"), ("head", "set up"), *started]
    ends = [("base", "enough"), ("head", "enough")]
    one_by_one = [(side, step) for side in ("base", "head") for step in ("enough", "heard")]
    assert told == [*started, *([] if on_gpu else at_once), *rounds, *(one_by_one if on_gpu else ends)]


@pytest.mark.parametrize("is_ours", [True, False])
def test_what_is_compiled_is_kept(repository: Repository, monkeypatch: pytest.MonkeyPatch, is_ours: bool) -> None:
    """In a worktree of ours a sitting leaves what was compiled for the next one; elsewhere as our caller has it."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    apart = (repository.path / "tree", repository.path / "base") if is_ours else None
    base, head = repository.side("base", isolated_from=apart), repository.side("head")
    repository.run(base, head)
    assert bool(list((repository.path / "base").glob("__pycache__/*.pyc"))) == is_ours
