"""The `nets` command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nets.cli.app import app, main
from nets.measuring import reference_runs
from nets.records.cell import Outcome
from nets.verdicts import bands
from tests.support.gating import content, write
from tests.support.hostile import EVIL
from tests.support.records import record
from tests.support.suite import Suite

runner = CliRunner()


def test_report(suite: Suite) -> None:
    """`nets report` prints the table of a run's file."""
    suite.run("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1")
    result = runner.invoke(app, ["report", str(suite.out)])
    assert result.exit_code == 0
    assert "397,510" in result.output


def test_report_refuses(tmp_path: Path) -> None:
    """A file that doesn't fit is refused with the field's name and exit 2."""
    path = tmp_path / "x.json"
    path.write_text('{"benchmarks": [{"extra_info": {"schema": 3}}], "machine_info": {"nets": {}}, "nets": {}}')
    result = runner.invoke(app, ["report", str(path)])
    assert result.exit_code == 2
    assert "field 'cell': Field required" in result.output


@pytest.mark.usefixtures("one_epoch")
def test_bands_go_on_where_they_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nets bands` writes every run as it comes, repeats none that is there, and can be interrupted between runs."""
    file = tmp_path / "bands.toml"
    arguments = ["bands", "--cells", "digits-snn500", "--device", "cpu", "--file", str(file), "--first-seed", "77"]
    result = runner.invoke(app, [*arguments, "--seeds", "1"])
    assert result.exit_code == 0, result.output

    added: list[int] = []
    add = reference_runs._add

    def interrupted(file: Path, done: reference_runs.Done, accuracy: float, setting: reference_runs.Setting) -> None:
        add(file, done, accuracy, setting)
        added.append(done.task.protocol.seed)
        raise KeyboardInterrupt

    monkeypatch.setattr(reference_runs, "_add", interrupted)
    result = runner.invoke(app, [*arguments, "--seeds", "3"])
    assert result.exit_code == 130
    assert "the same command goes on" in result.output
    assert added == [78]
    (runs,) = bands.read_bands(file).runs
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


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["gate", "a.json"], 2, "Missing argument"),
        (["ab", "main", "HEAD", "--max-sittings", "0"], 2, "Invalid value for '--max-sittings'"),
        (["history", "--nosuch"], 2, "No such option: --nosuch"),
        (["depth"], 2, "Missing argument"),
        (["gate", "a.json", "b.json"], 2, "nets gate: a.json: No such file"),
        (["--version"], 0, "nets "),
    ],
)
def test_exit_codes(
    arguments: list[str],
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong option and an unusable file end every command with 2; 1 and 3 would be verdicts."""
    monkeypatch.setattr("sys.argv", ["nets", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status
    captured = capsys.readouterr()
    assert said in captured.out + captured.err
    assert "Traceback" not in captured.err


def test_a_fault_is_no_verdict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody foresaw is shown, and ends `nets gate` with 3: it can't tell."""
    monkeypatch.setattr("sys.argv", ["nets", "gate", "a.json", "b.json"])
    monkeypatch.setattr("nets.cli.gate.judge_files", lambda *_: 1 / 0)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_closed_pipe_is_no_verdict(folder: Path) -> None:
    """Where nobody reads what `nets gate` prints, it can't tell (3), and does not end with the code of a regression."""
    write("a.json", record())
    read, written = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "nets", "gate", "a.json", "a.json"]
    done = subprocess.run(command, cwd=folder, stdout=written, stderr=subprocess.PIPE, text=True)
    os.close(written)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr


def test_foreign_text_in_a_report(folder: Path) -> None:
    """`nets report` lets no escape of a file's text reach the terminal."""
    failed = record(model=EVIL, outcome=Outcome(status="failed", failures=(EVIL,)))
    found = content(failed) | {"nets": {"not_run": [{"cell": EVIL, "because": EVIL}]}}
    (folder / "x.json").write_text(json.dumps(found))
    result = runner.invoke(app, ["report", "x.json"])
    assert result.exit_code == 0, result.output
    assert "alert(1)" in result.output
    assert "\x1b" not in result.output
