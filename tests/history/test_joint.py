"""One cause is told once: what changes with a total time is its part, what doesn't stands for itself."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nets.history.joint import GO_WITH_TIME, WITHIN, changed_commits
from nets.history.records import Change, ChangedCommit, Direction, Line, Point
from nets.history.tracked import TRACKED
from tests.support.histories import commit, found, line, ran, stepped, store, taking
from tests.support.records import record

N = 30
METRICS = {metric.name: metric for metric in TRACKED}


def made(metric: str, changes: Mapping[int, Direction | None], cell: str = "a-b") -> Line:
    """A line of N commits with these changes."""
    points = tuple(
        Point(place=i, commit=f"c{i}", time="", dirty=False, value=1.0, std=None, n_runs=1, n_values=1)
        for i in range(N)
    )
    found = tuple(
        Change(
            begins=f"c{i}", time="", since=f"c{i - 1}", index=i, before=1.0, after=1.1, effect=0.1, p=0.001,
            direction=direction,
        )
        for i, direction in sorted(changes.items())
    )  # fmt: skip
    tracked = METRICS[metric]
    return Line(
        cell=cell, metric=metric, unit=tracked.unit, worse=tracked.worse, under=(), state="tested", points=points,
        changes=found,
    )  # fmt: skip


def told(commits: tuple[ChangedCommit, ...]) -> list[tuple[str, str, str, list[tuple[str, str]]]]:
    """Commit, cell, metric and parts of each change."""
    return [
        (commit.begins, change.cell, change.metric, [(part.metric, part.begins) for part in change.parts])
        for commit in commits
        for change in commit.changes
    ]


def test_total_train_and_eval_are_one() -> None:
    """Total, training and evaluation that change at one commit are one change, of the total; a neighbour's counts."""
    lines = [made("total_s", {10: "worse"}), made("train_s", {10: "worse"}), made("eval_s", {12: "worse"})]
    assert told(changed_commits(lines, {})) == [("c10", "a-b", "total_s", [("train_s", "c10"), ("eval_s", "c12")])]


@pytest.mark.parametrize(
    "other",
    [
        made("eval_s", {10: "better"}),
        made("eval_s", {10 + WITHIN + 1: "worse"}),
        made("accuracy", {10: "worse"}),
        made("parameters", {10: None}),
        made("eval_s", {10: "worse"}, cell="other"),
    ],
    ids=["another direction", "too far", "accuracy", "network", "another cell"],
)
def test_what_is_no_part(other: Line) -> None:
    """Another direction, a commit further off, accuracy, the network, another cell: a change of its own."""
    assert len(told(changed_commits([made("total_s", {10: "worse"}), other], {}))) == 2


def test_without_a_total() -> None:
    """Where only the parts changed, the first of them is told."""
    lines = [made("total_s", {}), made("train_s", {10: "worse"}), made("core_s", {10: "worse"})]
    assert told(changed_commits(lines, {})) == [("c10", "a-b", "train_s", [("core_s", "c10")])]


def test_a_mending_is_another_change() -> None:
    """A slowdown and its end are two changes, each with its own part, at their commits in order; subjects are kept."""
    lines = [made("total_s", {10: "worse", 13: "better"}), made("train_s", {10: "worse", 13: "better"})]
    commits = changed_commits(lines, {"c13": "Mend it"})
    assert told(commits) == [
        ("c10", "a-b", "total_s", [("train_s", "c10")]),
        ("c13", "a-b", "total_s", [("train_s", "c13")]),
    ]
    assert [commit.subject for commit in commits] == [None, "Mend it"]


CHANGES = st.dictionaries(st.integers(3, N - 3), st.sampled_from(["worse", "better"]), max_size=4)


@given(st.dictionaries(st.sampled_from([*GO_WITH_TIME, "accuracy", "rss_peak_bytes"]), CHANGES, max_size=5))
def test_every_change_is_told_once(changes: dict[str, dict[int, Direction | None]]) -> None:
    """Whatever changes: each change is told once, by itself or as a part of one that is near and goes the same way."""
    lines = [made(metric, of_metric) for metric, of_metric in changes.items()]
    commits = changed_commits(lines, {})
    once = [(metric, begins) for begins, _, metric, _ in told(commits)]
    once += [part for *_, parts in told(commits) for part in parts]
    assert sorted(once) == sorted((each.metric, change.begins) for each in lines for change in each.changes)
    places = [int(each.begins[1:]) for each in commits]
    assert places == sorted(set(places))
    for place, each in zip(places, commits, strict=True):
        for change in each.changes:
            for part in change.parts:
                at = int(part.begins[1:])
                assert changes[part.metric][at] == change.direction
                assert abs(at - place) <= WITHIN


@pytest.mark.usefixtures("folder")
def test_one_slowdown_of_two_cells() -> None:
    """A commit that slows two cells is named once, first of all, with both and their parts; the lines keep theirs."""
    for i in range(20):
        slow = 1.2 if i >= 10 else 1.0
        cells = [taking([slow * (2 + i % 3 / 100)], model=model) for model in ("lenet5", "cnn3l")]
        store(f"runs/{i}.json", i, *cells, record(model="snn500"))
    everything = found()
    (changed,) = everything["changed_commits"]
    assert changed["begins"] == commit(10)
    assert [(each["cell"], each["metric"]) for each in changed["changes"]] == [
        ("mnist-cnn3l", "total_s"), ("mnist-lenet5", "total_s"),
    ]  # fmt: skip
    assert [part["metric"] for part in changed["changes"][0]["parts"]] == ["train_s"]
    assert len(line(everything, "train_s")["changes"]) == 1
    rows = ran("runs").output.splitlines()
    assert rows[2:4] == ["Changes, the newest first", f"{commit(10)[:7]} (2026-10-11)"]
    assert [row.split()[:3] for row in rows[4:6]] == [
        ["mnist-cnn3l", "total_s", "+16.0"], ["mnist-lenet5", "total_s", "+16.0"],
    ]  # fmt: skip
    assert sum("train_s" in row for row in rows) == 2
    assert rows[-1].startswith("2 changes at one commit, on 4 of 24 lines; ")


@pytest.mark.usefixtures("folder")
def test_at_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of a long series fits a terminal of 80 columns, and shows more of it on a wider one."""
    monkeypatch.setenv("COLUMNS", "80")
    stepped(60, at=30)
    rows = [row for row in ran("runs").output.splitlines() if row.startswith(" ")]
    assert max(map(len, rows)) <= 80
