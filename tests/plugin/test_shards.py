"""`pytest benchmarks/ --shard I/N`: what a shard measures and records, and that all of them are the one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nets.records import durable
from tests.support.commands import runner
from tests.support.killing import but_times, finished
from tests.support.suite import Suite

ran = runner("merge")
OWN = """
import nets
from torch import nn
def tiny(n):
    return lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, n), nn.ReLU(), nn.Linear(n, 10))
for n in range(1, 7):
    nets.network(dataset="digits", name=f"tiny{n}", layers=2)(tiny(n))
"""
QUICK = ("--epochs", "1", "--rounds", "1", "--batch-size", "500")
CELLS = "digits-lenet5," + ",".join(f"digits-tiny{n}" for n in range(1, 7))


@pytest.fixture
def own(suite: Suite) -> tuple[str, ...]:
    """The options by which seven cells of one data set are chosen."""
    (suite.path / "own.py").write_text(OWN)
    return (f"--nets={suite.path / 'own.py'}", "--cells", CELLS, *QUICK)


def block(path: Path) -> dict[str, Any]:
    """What a file says beside its benchmarks."""
    found: dict[str, Any] = json.loads(path.read_text())["nets"]
    return found


def names(path: Path) -> list[str]:
    """The cells that a file has, in its order."""
    return [each["name"].partition("[")[2].rstrip("]") for each in json.loads(path.read_text())["benchmarks"]]


def test_all_shards_are_the_one_run(suite: Suite, own: tuple[str, ...]) -> None:
    """Eight shards joined equal one run in all but times and places: order, seeds, accuracies, verdicts."""
    assert suite.run(*own).ret == 0
    one_run = suite.out.rename(suite.path / "one.json")
    files = []
    for number in range(1, 9):
        result = suite.run(*own, "--shard", f"{number}/8")
        assert result.ret == 0
        files.append(str(suite.out.rename(suite.path / f"{number}.json")))
    assert [names(Path(file)) for file in files[:2]] == [
        ["digits-lenet5", "digits-tiny1"],
        ["digits-lenet5", "digits-tiny2"],
    ]
    result.stdout.fnmatch_lines(["nets: shard 8/8 is empty: none of the cells to measure falls to it"])
    merged = ran(*files, "-o", str(suite.out))
    assert merged.exit_code == 0, merged.stderr
    assert {test: but_times(each) for test, each in finished(suite.out).items()} == {
        test: but_times(each) for test, each in finished(one_run).items()
    }
    assert names(suite.out) == names(one_run) == CELLS.split(",")
    content, whole = json.loads(suite.out.read_text()), json.loads(one_run.read_text())
    for each, of_one_run in zip(content["benchmarks"], whole["benchmarks"], strict=True):
        assert each.keys() == of_one_run.keys()
        depth, of_one = each["extra_info"]["depth"], of_one_run["extra_info"]["depth"]
        assert depth["criteria"]["demand"] == of_one["criteria"]["demand"]
        assert (depth["reference"], depth["classical"]) == ("digits-lenet5", of_one["classical"])
    assert content["nets"]["unfinished"] == content["nets"]["not_run"] == []
    assert len(content["nets"]["references"]) == 5
    assert content.keys() == whole.keys()
    assert content["commit_info"] == whole["commit_info"]
    assert content["machine_info"]["nets"].pop("hosts")
    assert content["machine_info"]["nets"] == whole["machine_info"]["nets"]
    assert runner("report")(str(suite.out)).exit_code == 0


@pytest.mark.usefixtures("forked")
def test_with_workers(suite: Suite, own: tuple[str, ...]) -> None:
    """Under -n a shard's workers measure its cells alone; an empty one has passed there, too, and its file says so."""
    assert suite.run(*own, "--shard", "1/2", "-n", "2").ret == 0
    assert names(suite.out) == ["digits-lenet5", "digits-tiny1", "digits-tiny3", "digits-tiny5"]
    result = suite.run(*own, "--shard", "8/8", "-n", "2", "--benchmark-json", str(suite.path / "empty.json"))
    assert result.ret == 0
    result.stdout.fnmatch_lines(["nets: shard 8/8 is empty*"])
    found = block(suite.path / "empty.json")
    assert found["shards"]["here"] == [8]
    assert found["asked"]["epochs"] == 1


def test_nothing_chosen_is_no_empty_shard(suite: Suite, own: tuple[str, ...]) -> None:
    """-k chooses among the cells of all shards: 0 where another shard has what it leaves, 5 where it leaves nothing."""
    assert suite.run(*own, "--shard", "1/2", "-k", "tiny2").ret == 0
    assert block(suite.out)["shards"]["here"] == [1]
    assert suite.run(*own, "--shard", "1/2", "-k", "nothing").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert suite.run(*own, "--shard", "2/2", "-k", "tiny2").ret == 0
    assert names(suite.out) == ["digits-tiny2"]


def test_resumed(suite: Suite, own: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that was killed goes on after its cells; those of another shard's journal are not taken over."""
    with monkeypatch.context() as patch:
        patch.setattr(durable.Journal, "remove", lambda self: None)
        suite.run(*own, "--shard", "1/3", "-k", "lenet5 or tiny1")
    before = finished(suite.out)
    suite.out.unlink()
    assert suite.run(*own, "--shard", "1/3", "--resume").ret == 0
    now = finished(suite.out)
    assert names(suite.out) == ["digits-lenet5", "digits-tiny1", "digits-tiny4"]
    assert {test: now[test] for test in before} == before
    with monkeypatch.context() as patch:
        patch.setattr(durable.Journal, "remove", lambda self: None)
        suite.run(*own, "--shard", "1/3", "-k", "tiny1")
    suite.out.unlink()
    result = suite.run(*own, "--shard", "2/3", "--resume")
    result.stdout.fnmatch_lines(["nets: --resume does not keep digits-tiny1: it is not to be run now"])
    assert names(suite.out) == ["digits-lenet5", "digits-tiny2", "digits-tiny5"]


def test_resumed_after_all_its_cells(suite: Suite, own: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that was killed when all its cells were done has its file and passes, and is not called empty."""
    with monkeypatch.context() as patch:
        patch.setattr(durable.Journal, "remove", lambda self: None)
        suite.run(*own, "--shard", "2/3")
    measured = names(suite.out)
    suite.out.unlink()
    result = suite.run(*own, "--shard", "2/3", "--resume")
    assert result.ret == 0
    assert names(suite.out) == measured != []
    result.stdout.no_fnmatch_line("nets: shard * is empty*")


def test_said_before_anything_runs(suite: Suite, own: tuple[str, ...]) -> None:
    """The header names the shard's cells, --collect-only collects them, and what is no shard is a usage error."""
    result = suite.run(*own, "--shard", "2/3", "--collect-only", "-q")
    assert [line.partition("[")[2] for line in result.outlines if "[" in line] == [
        "digits-lenet5]",
        "digits-tiny2]",
        "digits-tiny5]",
    ]
    for text in ("9/8", "0/8", "x"):
        result = suite.run(*own, "--shard", text)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"*argument --shard: '{text}' is no shard*"])
    result = suite.run(*own, "--shard", "1/3", "--gate", "base.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--gate holds a whole run against its base: join the shards first*"])
