"""The `nets` command."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nets import bands, calibrate
from nets.cli import app
from tests.suite import Suite

runner = CliRunner()


def test_report(suite: Suite) -> None:
    """`nets report` prints the table of a run's file."""
    suite.run("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1")
    result = runner.invoke(app, ["report", str(suite.out)])
    assert result.exit_code == 0
    assert "397,510" in result.output


def test_report_refuses(tmp_path: Path) -> None:
    """A file that doesn't fit is refused with the field's name and exit 3."""
    path = tmp_path / "x.json"
    path.write_text('{"benchmarks": [{"extra_info": {"schema": 1}}], "nets": {}}')
    result = runner.invoke(app, ["report", str(path)])
    assert result.exit_code == 3
    assert "field 'cell': Field required" in result.output


def test_bands_go_on_where_they_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nets bands` writes every run as it comes, repeats none that is there, and can be interrupted between runs."""
    file = tmp_path / "bands.toml"
    arguments = ["bands", "--cells", "digits-snn500", "--device", "cpu", "--file", str(file), "--first-seed", "77"]
    result = runner.invoke(app, [*arguments, "--seeds", "1"])
    assert result.exit_code == 0, result.output

    added: list[int] = []
    add = calibrate._add

    def interrupted(file: Path, like: dict[str, object], seed: int, accuracy: float) -> None:
        add(file, like, seed, accuracy)
        added.append(seed)
        raise KeyboardInterrupt

    monkeypatch.setattr(calibrate, "_add", interrupted)
    result = runner.invoke(app, [*arguments, "--seeds", "3"])
    assert result.exit_code == 130
    assert "the same command goes on" in result.output
    assert added == [78]
    (runs,) = bands.read(file).runs
    assert runs.seeds == (77, 78)
    assert tomllib.loads(file.read_text())["runs"][0]["source"] == "nets bands"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cells", "nonsense"], "unknown cell 'nonsense'"),
        (["--protocol", "slow"], "unknown protocol 'slow'"),
        (["--pipeline", "fast"], "unknown pipeline 'fast'"),
        (["--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_bands_refuses(tmp_path: Path, arguments: list[str], message: str) -> None:
    """A wrong name is one sentence and exit 2."""
    result = runner.invoke(app, ["bands", "--file", str(tmp_path / "b.toml"), *arguments])
    assert result.exit_code == 2
    assert message in result.output


def test_version() -> None:
    """`nets --version` says which."""
    assert runner.invoke(app, ["--version"]).output.startswith("nets 0.")
