"""`pytest benchmarks/ --gate BASE.json`: what fails a session, and what is refused before it begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.gating import content
from tests.support.records import record
from tests.support.suite import Suite

FAST = ("--cells", "digits-snn500", "--epochs", "1", "--rounds", "2")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Suite:
    """A repository that uses the suite."""
    return Suite(pytester)


def changed(path: Path, **block: Any) -> str:
    """The file with other figures in its one record's timing, as a base."""
    content = json.loads(path.read_bytes())
    record = content["benchmarks"][0]["extra_info"]
    for round_ in record["rounds"]:
        round_["train_s"] *= block.get("slower", 1)
        round_["eval_s"] *= block.get("slower", 1)
    content["benchmarks"][0]["stats"] = {}  # which would contradict them
    record["cell"]["model"] = block.get("model", record["cell"]["model"])
    content["machine_info"]["nets"]["versions"]["torch"] = block.get("torch", "2.11.0")
    base = path.with_name("base.json")
    base.write_text(json.dumps(content))
    return str(base)


def test_gated(suite: Suite) -> None:
    """The session passes where nothing is worse; a slower head, a cell that is gone, another torch fail it, by name."""
    assert suite.run(*FAST).ret == 0
    torch = json.loads(suite.out.read_bytes())["machine_info"]["nets"]["versions"]["torch"]
    first = suite.out.read_bytes()

    def gated(*options: str, **block: Any) -> tuple[int, str]:
        suite.out.write_bytes(first)
        base = changed(suite.out, **block)
        done = suite.run(*FAST, "--gate", base, *options)
        return int(done.ret), done.stdout.str()

    # faster than any machine of ours: nothing is worse, though it takes a limit to believe it
    code, told = gated(torch=torch, slower=100)
    assert (code, "does head still do all of the work?" in told) == (1, True), told
    (suite.path / "gate.toml").write_text("[gate]\ntime_faster = 1000")
    believed = ("--gate-config", str(suite.path / "gate.toml"))
    code, told = gated(*believed, torch=torch, slower=100)
    assert (code, "this run: one cell" in told, "of no known commit, run on 2" in told) == (0, True, True), told
    code, told = gated(torch=torch, slower=0.01)
    assert code == 1
    assert "digits-snn500 total_s regressed" in " ".join(told.split()).replace(":", "") or "regressed" in told
    code, told = gated(*believed, torch=torch, slower=100, model="gone")
    assert (code, "digits-gone" in told, "missing" in told) == (1, True, True)
    code, told = gated(slower=100)
    assert (code, "another torch: base 2.11.0" in told) == (1, True)


def test_a_session_without_a_cell_fails(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every cell is skipped, the base's are missing."""
    assert suite.run(*FAST).ret == 0
    base = changed(suite.out)
    monkeypatch.delenv("NETS_DATA", raising=False)
    done = suite.run("--cells", "mnist-snn500", "--gate", base)
    assert done.ret == 1
    assert "digits-snn500" in done.stdout.str()


def test_foreign_text_is_harmless(suite: Suite) -> None:
    """No escape of the base's text reaches the terminal, where it can't be used either."""
    twice = record(model="\x1b[31mred")
    Path(suite.path / "base.json").write_text(json.dumps(content(twice, twice)))
    done = suite.run(*FAST, "--gate", "base.json")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "red is there 2 times" in done.stderr.str()
    assert "\x1b" not in done.stderr.str()


@pytest.mark.parametrize(
    ("arguments", "because"),
    [
        (("--gate", "nosuch.json"), "--gate: nosuch.json: No such file"),
        (("--gate", "conftest.py"), "--gate: conftest.py: "),
        (("--gate", "out.json"), "would be written over its own base"),
        (("--gate-config", "x.toml"), "--gate-config needs --gate BASE.json"),
    ],
)
def test_refused(suite: Suite, arguments: tuple[str, ...], because: str) -> None:
    """A base that can't be used is refused before the first cell trains."""
    done = suite.run(*FAST, *arguments)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert because in done.stderr.str()
    assert not suite.out.exists()
