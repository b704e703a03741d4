"""`nets history`: stored files in; table, JSON, exports and exit code out; unusable files named and passed over."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from nets.cli_history import history
from nets.results import Accuracy, Network, Outcome, Result
from tests.gating import GPU
from tests.records import one_round, record, seen_of_gpu
from tests.suite import Suite
from tests.test_gate_cli import BAD, EVIL, FULL, Ran, content, leaves

app = typer.Typer()
app.command()(history)
EPOCH = datetime(2026, 10, 1, tzinfo=UTC)
NETWORK = Network(parameters=61_706, layers=5, hidden_layers=4, macs_per_image=416_520)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commit(i: int) -> str:
    """The hash of the i-th commit; no order can be read from it."""
    return f"{(i * 7_919 + 13) % 10_007:07d}" + f"{i:033d}"


def store(path: str, i: int, *results: Result, torch: str = "2.12.0", **commit_info: Any) -> None:
    """Write a run of the i-th commit, a day after the one before."""
    day = EPOCH + timedelta(days=i)
    info = {"id": commit(i), "time": day.isoformat(), "author_time": None, "dirty": False, "branch": "main"}
    ran = (day + timedelta(hours=1)).isoformat()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(
        json.dumps(content(*results, torch=torch) | {"commit_info": info | commit_info, "datetime": ran})
    )


def taking(seconds: Iterable[float], **changes: Any) -> Result:
    """A cell whose rounds took so long."""
    return record(rounds=tuple(one_round(seed=i, train_s=s, eval_s=0.5) for i, s in enumerate(seconds)), **changes)


def stepped(n: int = 20, at: int = 10, factor: float = 1.1, seed: int = 0, **changes: Any) -> None:
    """Store a series of n commits, slower from `at` on, three rounds each with 1 % noise."""
    rng = random.Random(seed)
    for i in range(n):
        level = 2.0 * (factor if i >= at else 1)
        results = taking([level * rng.gauss(1, 0.01) - 0.5 for _ in range(3)], **changes)
        store(f"runs/.benchmarks/machine/{i:04d}_x.json", i, results)


def ran(*arguments: str) -> Ran:
    """Run the command; a traceback is never what a user sees."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def found(*arguments: str) -> dict[str, Any]:
    """What `--json` wrote of the folder `runs`."""
    result = ran("runs", "--json", "all.json", *arguments)
    assert result.exit_code == 0, result.stderr
    everything: dict[str, Any] = json.loads(Path("all.json").read_text(), parse_constant=pytest.fail)
    return everything


def line(everything: dict[str, Any], metric: str, cell: str = "mnist-lenet5") -> dict[str, Any]:
    """The one line of a metric."""
    (only,) = [each for each in everything["lines"] if (each["cell"], each["metric"]) == (cell, metric)]
    assert isinstance(only, dict)
    return only


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
    assert f"{100 * change['effect']:+.1f} % at {commit(10)[:7]} (2026-10-11)" in result.output
    assert "20 result files of 20 commits, 2026-10-01 to 2026-10-20, in the order of their times" in result.output
    (row,) = [row for row in result.output.splitlines() if "total_s" in row]
    assert "▁" in row
    assert "█" in row


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
    assert "-2.00 points at" in output
    assert f"61,706 → 61,707 at {commit(14)[:7]}" in output


@pytest.mark.usefixtures("folder")
def test_every_metric() -> None:
    """Times, accuracy, the gate's figures and the network's each have a line with the record's value and its unit."""
    store("runs/a.json", 0, FULL)
    lines = {each["metric"]: each for each in found()["lines"]}
    assert {name: (each["points"][0]["value"], each["unit"]) for name, each in lines.items()} == {
        "total_s": (2.0, "s"), "train_s": (1.5, "s"), "eval_s": (0.5, "s"),
        "accuracy": (pytest.approx(0.91), "fraction"),
        "core_s": (pytest.approx(1.9 / 3), "s"), "rss_peak_bytes": (1_000_000, "bytes"),
        "memory_peak_bytes": (1, "bytes"), "energy_j": (1.0, "J"), "utilization_pct": (10.0, "%"),
        "trace_gpu_utilization_pct": (40.0, "%"), "trace_sm_efficiency_pct": (30.0, "%"), "parameters": (61_706, ""),
        "layers": (5, ""),
    }  # fmt: skip


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
        gpu = seen_of_gpu(window, utilization_pct=10.0, memory_peak_bytes=1)  # type: ignore[arg-type]  # both are windows
        store(f"runs/gpu/{i}.json", i, record(model="cnn3l", device=GPU, gpu=gpu))
    of_gpu = [each for each in found()["lines"] if each["cell"] == "mnist-cnn3l"]
    assert [len(each["points"]) for each in of_gpu if each["metric"] == "utilization_pct"] == [1, 1]
    assert [len(each["points"]) for each in of_gpu if each["metric"] == "memory_peak_bytes"] == [2]


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


def git(folder: Path, *arguments: str, when: datetime = EPOCH) -> str:
    """Run git as somebody, at some time."""
    stamp = when.isoformat()
    return subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false", *arguments],
        cwd=folder, check=True, capture_output=True, text=True,
        env={**os.environ, "GIT_COMMITTER_DATE": stamp, "GIT_AUTHOR_DATE": stamp, "GIT_CONFIG_GLOBAL": os.devnull},
    ).stdout.strip()  # fmt: skip


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
    """Eleven commits are too few to tell, and the table says so; a figure that never varied simply has no change."""
    stepped(11, at=6)
    output = ran("runs").output
    assert "too few commits to tell: 12 at least" in output
    assert output.splitlines()[-1].startswith("no change on ")


@pytest.mark.usefixtures("folder")
def test_filters() -> None:
    """`--cells` and `--metric` leave others out; by default total time, accuracy and what changed are shown."""
    for i in range(3):
        store(f"runs/{i}.json", i, taking([1.0 + i]), record(model="cnn3l"))
    output = ran("runs").output
    assert "train_s" not in output
    assert "lines without a change are not shown: --all" in output
    assert "train_s" in ran("runs", "--all").output
    lines = found("--cells", "mnist-cnn3l", "--metric", "layers,total_s")["lines"]
    assert [(each["cell"], each["metric"]) for each in lines] == [("mnist-cnn3l", "total_s"), ("mnist-cnn3l", "layers")]


@pytest.mark.usefixtures("folder")
def test_export() -> None:
    """The newest commit's figures, in the action's fields: what is better smaller and bigger apart, names unique."""
    stepped()
    rounds = tuple(one_round(seed=i, accuracy=a) for i, a in enumerate((0.9, 0.92)))
    accuracy = Accuracy(mean=0.91, std=0.01, min=0.9, max=0.92)
    store("runs/new.json", 30, record(rounds=rounds, accuracy=accuracy), torch="2.13.0", dirty=True)
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
@pytest.mark.parametrize(("make", "message"), [bad for bad in BAD if bad[1] not in ("No such file",)])
def test_bad_files(make: Callable[[Path], object], message: str) -> None:
    """An unusable file is named with its reason and passed over among good ones; alone it ends with 3."""
    Path("runs").mkdir()
    make(Path("runs/bad.json"))
    if not Path("runs/bad.json").is_dir():  # a folder of that name is searched
        result = ran("runs")
        assert result.exit_code == 3
        assert result.stderr.startswith(
            "nets history: runs: no result file of nets in it (one JSON file: runs/bad.json"
        )
        assert len(result.stderr.splitlines()) == 1
    for i in range(2):
        store(f"runs/{i}.json", i, record())
    result = ran("runs")
    assert result.exit_code == 0
    assert "2 result files of 2 commits" in result.output
    if not Path("runs/bad.json").is_dir():
        (sentence,) = [row for row in result.output.splitlines() if row.startswith("passed over: runs/bad.json")]
        assert message in sentence


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"commit_info": {"id": commit(0), "time": "yesterday"}}, "field 'commit_info.time' is no time: 'yesterday'"),
        ({"commit_info": {"id": 5}}, "field 'commit_info.id'"),
        ({"datetime": "0001-01-01T00:00:00+14:00"}, "field 'datetime' is no time"),
        ({"datetime": None}, "field 'datetime'"),
        ({"benchmarks": []}, "it holds no finished cell"),
    ],
)
def test_bad_commits(change: dict[str, Any], message: str) -> None:
    """A file that can't be placed, or that has nothing to place, is named and passed over."""
    for i in range(2):
        store(f"runs/{i}.json", i, record())
    Path("runs/bad.json").write_text(json.dumps(json.loads(Path("runs/0.json").read_text()) | change))
    result = ran("runs")
    assert result.exit_code == 0
    assert f"passed over: runs/bad.json: {message}" in result.output


@pytest.mark.usefixtures("folder")
def test_many_unusable_files() -> None:
    """The terminal names ten and counts the rest; the JSON names all, other tools' files among them."""
    store("runs/ok.json", 0, record())
    for i in range(15):
        Path(f"runs/package{i:02d}.json").write_text('{"name": "x", "kind": "gate"}')
    output = ran("runs").output
    assert output.count("passed over: runs/package") == 10
    assert "passed over: and 5 more, which --json names" in output
    assert len(found()["passed_over"]) == 15


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["empty"], "empty: no result file of nets in it (no JSON file); --benchmark-autosave"),
        (["runs/0.json"], "runs/0.json: not a folder"),
        (["runs", "--cells", "mnist-resnet"], "--cells mnist-resnet: unknown; there are mnist-lenet5"),
        (["runs", "--cells", ","], "name something"),
        (["runs", "--metric", "speed"], "--metric speed: unknown; there are accuracy, core_s"),
        (["runs", "--metric", "energy_j"], "no finished round of these cells"),
        (["runs", "--json", "nowhere/x.json"], "nowhere/x.json: it can't be written"),
        (["runs", "--json", "runs/0.json"], "runs/0.json: it is a result file, and would be written over"),
        (["runs", "--export", "runs/0.json"], "it can't be written"),
        (["runs", "--json", "e/bigger-is-better.json", "--export", "e"], "named twice"),
    ],
)
def test_bad_options(arguments: list[str], message: str) -> None:
    """What can't be used ends with 3 and one sentence, and nothing is written over."""
    store("runs/0.json", 0, record())
    Path("empty").mkdir()
    before = Path("runs/0.json").read_bytes()
    result = ran(*arguments)
    assert result.exit_code == 3
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert Path("runs/0.json").read_bytes() == before


@pytest.mark.usefixtures("folder")
def test_without_ruptures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ruptures can't be installed yet, the command says so in a sentence."""
    store("runs/0.json", 0, record())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = ran("runs")
    assert result.exit_code == 3
    assert "it needs ruptures" in result.stderr


@pytest.mark.usefixtures("folder")
def test_foreign_text_is_harmless() -> None:
    """Neither escapes nor markup of a file's text reach the terminal or what the action makes a page from."""
    device = record().device.model_copy(update={"name": EVIL})
    store("runs/0.json", 0, record(model=EVIL), record(device=device))
    store("runs/1.json", 1, record(model=EVIL), torch=EVIL, id=EVIL)
    store(f"runs/\x1b[31m{'x' * 20}.json", 2, record(), record())
    Path(os.fsdecode(b"runs/\xff.json")).write_text("{")
    result = ran("runs", "--all", "--export", "out", "--json", "all.json")
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert "\n#" not in result.output
    for name in ("smaller", "bigger"):
        entries = json.loads(Path(f"out/{name}-is-better.json").read_text())
        text = "".join(str(value) for entry in entries for value in entry.values())
        assert not any(forbidden in text for forbidden in ("\x1b", "<", "](", "`", "@everyone", "|"))
    json.loads(Path("all.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("path", list(leaves(FULL.to_json())), ids=lambda path: ".".join(map(str, path)))
def test_no_number_breaks_it(path: tuple[str | int, ...]) -> None:
    """Whatever number stands in a record's field: it is followed, left out or refused, without a traceback."""
    for i in range(12):
        store(f"runs/{i:02d}.json", i, FULL)
    for value in (-1, 0, 1e-320, 1e308, 10**400):
        bad = json.loads(Path("runs/05.json").read_text())
        place: Any = bad["benchmarks"][0]["extra_info"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        Path("runs/07.json").write_text(json.dumps(bad))
        assert ran("runs", "--all", "--json", "all", "--export", "out").exit_code == 0
        json.loads(Path("all").read_text(), parse_constant=pytest.fail)


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
