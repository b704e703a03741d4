"""What studies/scale.py measures and reckons: a session's cells and wall time, and arithmetic on them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from studies import scale

from nets.cells.catalog import Cell
from tests.support.forking import FORKS, Forked, Forking
from tests.support.suite import REPOSITORY

ALONE = scale.Measured(1, wall_s=20.0, rounds=3, cells_s={"digits-lenet5": 2.0, "digits-a": 1.0})


def test_reckoned() -> None:
    """A shard starts once and measures its cells in turn; what is more than on one machine is starts and references."""
    cells = [Cell("digits", "lenet5"), *(Cell("digits", f"own{i}") for i in range(6))]
    one, three = (scale.reckoned(cells, n, {"digits": 10.0}, 5.0) for n in (1, 3))
    assert one == (1, 1, 75.0, 75.0, 1, 0.0)
    assert three == (3, 3, 35.0, 105.0, 3, 30.0)
    assert scale.reckoned(cells, 100, {"digits": 10.0}, 5.0).busy == 6


def test_measured_figures() -> None:
    """Seconds of a data set's cells are the mean of theirs times rounds; the rest of the wall time is a start."""
    assert scale.seconds_of_a_cell(ALONE) == ({"digits": 4.5}, 11.0)
    beside = ALONE._replace(n_workers=2, cells_s={"digits-lenet5": 3.0, "digits-a": 1.0})
    assert scale.slow_downs(ALONE, beside) == {"digits-lenet5": 1.5, "digits-a": 1.0}


def test_it_measures(
    forking_process: Forking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sessions on one worker and on two are run and kept, with each cell's slow-down; options go to pytest."""

    def session(command: list[str], env: dict[str, str]) -> Forked:
        assert command[:2] == [sys.executable, "-mpytest"]
        code = f"{FORKS}\nimport pytest\nsys.exit(pytest.main({command[2:]}))"  # which forks its workers, too
        started = forking_process.popen([sys.executable, "-c", code], env=env)
        assert isinstance(started, Forked)
        return started

    monkeypatch.setattr(subprocess, "Popen", session)
    monkeypatch.chdir(REPOSITORY)
    into = tmp_path / "scale.json"
    scale.main(["--cells", "digits-snn500", "--device", "cpu", "--epochs", "1", "--rounds", "1"], into)
    found = json.loads(into.read_text())
    assert [each["n_workers"] for each in found["sessions"]] == [1, 2]
    assert all(each["wall_s"] > each["cells_s"]["digits-snn500"] > 0 for each in found["sessions"])
    assert found["slow_downs"]["2"].keys() == {"digits-snn500"}
    assert "| 8 GPUs |" in capsys.readouterr().out


def test_the_page() -> None:
    """docs/scale.md has the reckoned table as the study prints it."""
    page = (REPOSITORY / "docs" / "scale.md").read_text()
    assert scale.reckoned_table(scale.stored()) in page
