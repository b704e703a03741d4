"""`nets history`: stored files in; table, JSON, exports and exit code out."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from studies.history_speed import make_archive

from nets.records.cell import Outcome, Result
from tests.support.gating import GPU, content
from tests.support.histories import EPOCH, NETWORK, commit, found, git, line, ran, stepped, store, taking
from tests.support.hostile import FULL
from tests.support.records import one_round, record, seen_of_gpu
from tests.support.suite import Suite


@pytest.mark.usefixtures("folder")
def test_a_slowdown() -> None:
    """A slowdown is told with its effect, the commit where it begins and the last before, in table and JSON; exit 0."""
    stepped()
    (change,) = line(found(), "total_s")["changes"]
    assert (change["begins"], change["since"], change["index"]) == (commit(10), commit(9), 10)
    assert change["effect"] == pytest.approx(0.1, abs=0.02)
    assert (change["direction"], change["time"]) == ("worse", "2026-10-11T00:00:00+00:00")
    assert 0 < change["p"] <= 0.004
    result = ran("runs")
    assert result.exit_code == 0
    assert f"{commit(10)[:7]} (2026-10-11)\n  mnist-lenet5 total_s {100 * change['effect']:+.1f} % (" in result.output
    assert "20 result files of 20 commits, 2026-10-01 to 2026-10-20, in the order of their times" in result.output
    (row,) = [row for row in result.output.splitlines() if row.startswith(" mnist-lenet5   total_s")]
    assert "▂" in row
    assert "▅" in row
    assert row.endswith(commit(10)[:7])


@pytest.mark.usefixtures("folder")
def test_accuracy_and_exact_figures() -> None:
    """Accuracies are compared by their difference; another number of parameters is a change without a test."""
    for i in range(16):
        accuracy = (0.95 if i < 9 else 0.93) + 0.001 * (i % 3)
        network = NETWORK if i < 14 else NETWORK.model_copy(update={"parameters": 61_707})
        rounds = tuple(one_round(seed=j, accuracy=accuracy) for j in range(2))
        store(f"runs/{i}.json", i, record(rounds=rounds, network=network))
    everything = found()
    (change,) = line(everything, "accuracy")["changes"]
    assert change["index"] == 9
    assert change["effect"] == pytest.approx(-0.02, abs=0.002)
    assert change["direction"] == "worse"
    (change,) = line(everything, "parameters")["changes"]
    assert (change["index"], change["before"], change["after"], change["p"]) == (14, 61_706, 61_707, None)
    assert line(everything, "total_s")["state"] == "constant"
    output = ran("runs").output
    assert f"{commit(9)[:7]} (2026-10-10)\n  mnist-lenet5 accuracy -2.00 points\n" in output
    assert f"{commit(14)[:7]} (2026-10-15)\n  mnist-lenet5 parameters 61,706 → 61,707\n" in output


@pytest.mark.usefixtures("folder")
def test_every_metric() -> None:
    """Times, accuracy, the gate's figures and the network's each have a line with the record's value and its unit."""
    store("runs/a.json", 0, FULL)
    lines = {each["metric"]: each for each in found()["lines"]}
    assert {name: (each["points"][0]["value"], each["unit"]) for name, each in lines.items()} == {
        "total_s": (2.0, "s"), "train_s": (1.5, "s"), "eval_s": (0.5, "s"),
        "accuracy": (pytest.approx(0.91), "fraction"),
        "core_s": (pytest.approx(1.9 / 3), "s"), "rss_peak_bytes": (1_000_000, "bytes"),
        "memory_peak_training_bytes": (1, "bytes"), "energy_j": (1.0, "J"), "utilization_pct": (10.0, "%"),
        "trace_gpu_utilization_pct": (40.0, "%"), "trace_sm_efficiency_pct": (30.0, "%"), "parameters": (61_706, ""),
        "layers": (5, ""),
    }  # fmt: skip


@pytest.mark.usefixtures("folder")
def test_a_side_of_nets_ab_is_in_the_line() -> None:
    """What `nets ab` measured is a point among the others, and its pairing no condition of a line of its own."""
    for i in range(3):
        store(f"runs/{i}.json", i, record(), pairing={"id": "a", "rounds": 1, "looks": 1} if i == 1 else None)
    assert len(line(found(), "total_s")["points"]) == 3
    assert "under" not in ran("runs").output


@pytest.mark.usefixtures("folder")
def test_only_comparable_runs_share_a_line() -> None:
    """Another torch, device, protocol, thread count or GPU window is another line, told apart in the table."""
    store("runs/0.json", 0, record())
    store("runs/1.json", 1, record(), torch="2.13.0")
    store("runs/2.json", 2, record(device=record().device.model_copy(update={"name": "another"})))
    store("runs/3.json", 3, record(execution=record().execution.model_copy(update={"threads": 2})))
    store("runs/4.json", 4, record(protocol=record().protocol.model_copy(update={"epochs": 2, "name": "custom"})))
    store("runs/5.json", 5, record())
    times = [each for each in found()["lines"] if each["metric"] == "total_s"]
    assert sorted(len(each["points"]) for each in times) == [1, 1, 1, 1, 2]
    output = ran("runs").output
    assert "torch 2.13.0" in output
    assert "threads 2 (passive)" in output
    for i, window in enumerate(("timed", "soak")):
        gpu = seen_of_gpu(window, utilization_pct=10.0, memory_peak_training_bytes=1)  # type: ignore[arg-type]  # both are windows
        store(f"runs/gpu/{i}.json", i, record(model="cnn3l", device=GPU, gpu=gpu))
    of_gpu = [each for each in found()["lines"] if each["cell"] == "mnist-cnn3l"]
    assert [len(each["points"]) for each in of_gpu if each["metric"] == "utilization_pct"] == [1, 1]
    assert [len(each["points"]) for each in of_gpu if each["metric"] == "memory_peak_training_bytes"] == [2]


@pytest.mark.usefixtures("folder")
def test_runs_of_one_commit() -> None:
    """Runs of a commit become one point, the median of all their rounds; the same run in two files counts once."""
    store("runs/a.json", 0, taking([1.0, 2.0, 9.5]))
    store("runs/b.json", 0, taking([1.5, 2.5]))
    store("runs/.benchmarks/m/0001.json", 0, taking([1.5, 2.5]))
    everything = found()
    (point,) = line(everything, "total_s")["points"]
    assert (point["value"], point["n_runs"], point["n_values"]) == (2.5, 2, 5)
    assert everything["notes"] == ["one record in a second file, and counted once"]


@pytest.mark.usefixtures("folder")
def test_dirty_and_unversioned_runs() -> None:
    """A run with uncommitted changes follows its commit as a point of its own, as does one of no commit at its time."""
    for i, dirty in enumerate((False, True, True)):
        store(f"runs/{i}.json", 0, taking([1.0 + i]), dirty=dirty)
        text = Path(f"runs/{i}.json").read_text()
        Path(f"runs/{i}.json").write_text(text.replace("T01:00", f"T0{i + 1}:00"))
    store("runs/z.json", -1, taking([9.0]), id="unversioned", time=None)
    points = line(found(), "total_s")["points"]
    assert [(point["commit"][:7], point["dirty"]) for point in points] == [
        ("unversi", False), (commit(0)[:7], False), (commit(0)[:7], True), (commit(0)[:7], True),
    ]  # fmt: skip
    assert [point["value"] for point in points] == [9.5, 1.5, 2.5, 3.5]
    assert "2 runs with uncommitted changes" in ran("runs").output


def test_the_repository_s_order(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the repository knows all commits, parents come first, whatever the clocks say; elsewhere time rules."""
    git(folder, "init", "-q")
    ids = []
    for i in range(3):  # each commit's clock is behind its parent's
        when = EPOCH - timedelta(days=i)
        git(folder, "commit", "-q", "--allow-empty", "-m", str(i), when=when)
        ids.append(git(folder, "rev-parse", "HEAD"))
        store(f"runs/{i}.json", i, record(), id=ids[i], time=when.isoformat())
    everything = found()
    assert everything["topological"]
    assert [point["commit"] for point in line(everything, "total_s")["points"]] == ids
    assert "in the repository's order" in ran("runs").output
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert "in the order of their times" in ran(str(folder / "runs")).output
    os.chdir(folder)
    store("runs/x.json", 5, record())
    everything = found()
    assert not everything["topological"]
    assert [point["commit"] for point in line(everything, "total_s")["points"]] == [*ids[::-1], commit(5)]


@pytest.mark.usefixtures("folder")
def test_the_same_bytes() -> None:
    """Two runs on the same files give the same bytes: on the terminal, in the JSON, in the exports."""
    stepped()
    arguments = ("runs", "--all", "--json", "runs/h.json", "--export", "runs/export")
    first = ran(*arguments)
    files = ("runs/h.json", "runs/export/smaller-is-better.json", "runs/export/bigger-is-better.json")
    before = [Path(name).read_bytes() for name in files]
    second = ran(*arguments)
    assert first.output == second.output
    assert [Path(name).read_bytes() for name in files] == before


@pytest.mark.usefixtures("folder")
def test_too_few_commits() -> None:
    """Eleven commits are too few to tell, whatever the values; of twelve it can be told. JSON and table say so."""
    stepped(11, at=6)
    states = {each["metric"]: each["state"] for each in found()["lines"]}
    assert states == {"parameters": "exact", "layers": "exact"} | dict.fromkeys(
        ("total_s", "train_s", "eval_s", "accuracy", "core_s", "rss_peak_bytes"), "too few"
    )
    output = ran("runs").output
    assert [row.split()[-2:] for row in output.splitlines() if row.startswith(" mnist-lenet5")] == [["too", "few"]] * 2
    assert output.splitlines()[-1] == (
        "too few commits to tell on 6 of 8 lines: 12 at least; no change found on 2 lines"
    )
    assert ran("runs", "--metric", "total_s").output.splitlines()[-1] == "too few commits to tell: 12 at least"
    stepped(12, at=6)
    everything = found()
    assert everything["min_commits"] == 12
    assert line(everything, "eval_s")["state"] == "constant"
    assert line(everything, "total_s")["state"] == "tested"


@pytest.mark.usefixtures("folder")
def test_one_commit() -> None:
    """Of a single commit nothing is told, of an exact figure neither."""
    store("runs/0.json", 0, record())
    assert {each["state"] for each in found()["lines"]} == {"too few"}
    assert "no change" not in ran("runs", "--all").output


@pytest.mark.usefixtures("folder")
def test_disturbed_rounds() -> None:
    """Disturbed rounds are left out of times where there are others; a point of them alone is marked."""

    def rounds(*disturbed: bool | None) -> Result:
        return record(
            rounds=tuple(
                one_round(seed=i, train_s=9.0 if each else 1.0 + i, eval_s=0.5, accuracy=0.9 + i / 100, disturbed=each)
                for i, each in enumerate(disturbed)
            )
        )

    store("runs/0.json", 0, rounds(None, True, False, True))
    store("runs/1.json", 1, rounds(True, True))
    store("runs/2.json", 1, rounds(True))
    store("runs/3.json", 2, rounds(False))
    everything = found()
    points = line(everything, "total_s")["points"]
    assert [(point["value"], point["n_values"]) for point in points] == [(2.5, 2), (9.5, 3), (1.5, 1)]
    assert [(point["n_left_out"], point["disturbed"]) for point in points] == [(2, False), (0, True), (0, False)]
    accuracies = line(everything, "accuracy")["points"]
    assert [(point["n_values"], point["n_left_out"]) for point in accuracies] == [(4, 0), (3, 0), (1, 0)]
    assert everything["notes"] == [
        "2 disturbed rounds left out of the times of one point, which have others",
        "the times of one point are of disturbed rounds alone (~)",
    ]
    output = ran("runs", "--last", "2", "--export", "out").output
    (row,) = [row for row in output.splitlines() if "total_s" in row]
    extras = [entry["extra"] for entry in json.loads(Path("out/smaller-is-better.json").read_text())]
    assert not any("disturbed" in extra for extra in extras)
    assert ran("runs", "--since", commit(1)[:7], "--last", "2").exit_code == 0
    Path("runs/3.json").unlink()
    assert ran("runs", "--export", "out").exit_code == 0
    total, *_ = json.loads(Path("out/smaller-is-better.json").read_text())
    assert total["extra"].endswith("3 values of 2 runs, of disturbed rounds alone")
    assert "~9.5" in row
    assert "note: the times of one point are of disturbed rounds alone (~)" in output


@pytest.mark.usefixtures("folder")
def test_filters() -> None:
    """`--cells` and `--metric` leave others out; by default total time, accuracy and what changed are shown."""
    for i in range(3):
        store(f"runs/{i}.json", i, taking([1.0 + i]), record(model="cnn3l"))
    output = ran("runs").output
    assert "train_s" not in output
    assert "not shown, without a change of their own: 12 lines (--all)" in output
    assert "train_s" in ran("runs", "--all").output
    lines = found("--cells", "mnist-cnn3l", "--metric", "layers,total_s")["lines"]
    assert [(each["cell"], each["metric"]) for each in lines] == [("mnist-cnn3l", "total_s"), ("mnist-cnn3l", "layers")]


@pytest.mark.usefixtures("folder")
def test_export() -> None:
    """The newest commit's figures, in the action's fields: what is better smaller and bigger apart, names unique."""
    stepped()
    rounds = tuple(one_round(seed=i, accuracy=a) for i, a in enumerate((0.9, 0.92)))
    store("runs/new.json", 30, record(rounds=rounds), torch="2.13.0", dirty=True)
    assert ran("runs", "--export", "out/new").exit_code == 0
    smaller = json.loads(Path("out/new/smaller-is-better.json").read_text())
    bigger = json.loads(Path("out/new/bigger-is-better.json").read_text())
    assert [entry["name"].split(" (")[0] for entry in smaller] == [
        f"mnist-lenet5 {metric}" for metric in ("total_s", "train_s", "eval_s", "core_s", "rss_peak_bytes")
    ]
    (entry,) = bigger
    assert entry.keys() == {"name", "unit", "value", "range", "extra"}
    assert entry["name"].startswith("mnist-lenet5 accuracy (device cpu: a CPU, torch 2.13.0, cuda none, data SHA-256 0")
    assert (entry["unit"], entry["value"], entry["range"]) == ("fraction", pytest.approx(0.91), "± 0.01414")
    assert entry["extra"].startswith(f"commit {commit(30)}, with uncommitted changes, 2026-10-31")
    assert all(
        isinstance(entry["value"], float | int) and "data SHA-256 000000000000," in entry["name"] for entry in smaller
    )


@pytest.mark.usefixtures("folder")
def test_what_is_left_out() -> None:
    """A cell that broke off gives no point; a figure that is unfit is left out, and a note says why, and how often."""
    spoilt = seen_of_gpu(reasons=("another process",), utilization_pct=10.0)
    store("runs/0.json", 0, record(outcome=Outcome(status="error", failures=("x",))), record(model="cnn3l"))
    store("runs/1.json", 1, record(model="cnn3l", device=GPU, gpu=spoilt))
    everything = found()
    assert {each["cell"] for each in everything["lines"]} == {"mnist-cnn3l"}
    assert "utilization_pct" not in {each["metric"] for each in everything["lines"]}
    assert "left out once: mnist-cnn3l utilization_pct: another process" in everything["notes"]


def test_a_real_file(suite: Suite) -> None:
    """What the suite wrote with --benchmark-json and stored with --benchmark-autosave is read as one run."""
    suite.run(
        "--cells", "digits-snn500", "--epochs", "1", "--rounds", "2", "--benchmark-autosave",
        f"--benchmark-storage=file://{suite.path / 'stored'}",
    )  # fmt: skip
    assert list((suite.path / "stored").rglob("0001_*.json"))
    result = ran(str(suite.path), "--json", str(suite.path / "all.json"))
    assert result.exit_code == 0, result.stderr
    everything = json.loads((suite.path / "all.json").read_text())
    total = line(everything, "total_s", "digits-snn500")
    assert (len(total["points"]), total["points"][0]["n_values"]) == (1, 2)
    assert "in a second file, and counted once" in everything["notes"][-1]


@pytest.mark.usefixtures("folder")
def test_many_changes() -> None:
    """The newest twenty changed commits are told, and two of a line in the table; the rest is counted."""
    for i in range(26):
        store(f"runs/{i:02d}.json", i, record(network=NETWORK.model_copy(update={"parameters": 1_000 + i})))
    output = ran("runs").output
    assert output.count("mnist-lenet5 parameters 1,0") == 20
    assert output.index(f"{commit(25)[:7]} (2026-10-26)\n") < output.index(f"{commit(6)[:7]} (2026-10-07)\n")
    assert "... and at 5 earlier commits, which --json names" in output
    assert f"{commit(25)[:7]}, {commit(24)[:7]} and 23 earlier" in output
    assert output.splitlines()[-1].startswith("25 changes at 25 commits, on 1 of 8 lines")
    assert len(found()["changed_commits"]) == 25


def test_the_archive_that_is_timed(folder: Path) -> None:
    """What studies/history_speed.py makes is read whole, in the repository's order, with subjects and slower cells."""
    Path("one.json").write_text(json.dumps(content(record(rounds=tuple(one_round(seed=i) for i in range(3))))))
    make_archive(Path("one.json"), folder / "made", 30)
    os.chdir(folder / "made" / "repository")
    result = ran("../runs")
    assert "30 result files of 30 commits, 2016-01-01 to 2016-01-30, in the repository's order" in result.output
    assert re.search(r"\w{7} \(2016-01-1\d\) Change number 1\d\n  mnist-lenet5 total_s \+1\d", result.output)
