"""`nets merge`: the files of a run's shards in; one file, a table and an exit code out; and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nets.records.cell import Device, Outcome
from nets.records.run_file import read_run
from tests.support.commands import Ran, runner
from tests.support.records import one_round
from tests.support.shards import N_SHARDS, all_shards, cell, content, on, shard
from tests.support.suite import SCHEMA

ran = runner("merge")
OUT = Path("out.json")


def read(path: Path = OUT) -> dict[str, Any]:
    """A joined file, every record in it held against the schema."""
    found: dict[str, Any] = json.loads(path.read_text())
    records = [each["extra_info"] for each in found["benchmarks"] if "extra_info" in each]
    for each in (*records, *found["nets"]["unfinished"]):
        SCHEMA.validate(each)
    return found


def put(name: str, each: dict[str, Any]) -> str:
    """Write a file."""
    Path(name).write_text(json.dumps(each))
    return name


@pytest.mark.usefixtures("folder")
def test_one_run(folder: Path) -> None:
    """Every cell once, in the run's order, whatever that of the files; hosts and earliest time are said."""
    names = all_shards(folder, lambda number, each: each.update(datetime=f"2026-11-30T1{5 - number}:00:00+00:00"))
    result = ran(*reversed(names), "-o", "out.json")
    assert result.exit_code == 0, result.stderr
    found = read()
    assert [each["name"] for each in found["benchmarks"]] == ["digits-lenet5", "digits-a", "shapes-b", "digits-c"]
    assert found["machine_info"]["nets"]["hosts"] == ["host1", "host2", "host3"]
    assert found["datetime"] == "2026-11-30T11:00:00+00:00"
    assert found["nets"]["not_run"] == []
    assert found["nets"]["shards"]["here"] == [1, 2, 3, 4]
    assert [each["file"] for each in found["nets"]["joined"]] == list(reversed(names))
    assert "4 files of 3 hosts (host1, host2, host3) joined: 4 of 4 shards, 4 cells -> out.json" in result.output
    assert "lenet5" in result.output


@pytest.mark.usefixtures("folder")
def test_depth_by_the_reference_of_the_own_shard(folder: Path) -> None:
    """A cell's time is held against the rounds of its own shard's LeNet-5, also when it is joined in two steps."""

    def three_times_as_fast(number: int, each: dict[str, Any]) -> None:
        if number == 2:
            where = on("host2")
            slow = (one_round(train_s=6.0), one_round(seed=1, train_s=6.1))
            fast = (one_round(train_s=0.5), one_round(seed=1, train_s=0.51))
            protocol = cell("digits-a").protocol.repeated(rounds=2)
            records = [
                cell("digits-lenet5", rounds=slow, where=where, protocol=protocol),
                cell("digits-a", rounds=fast, where=where, protocol=protocol),
            ]
            each["benchmarks"] = shard(2, *records)["benchmarks"]
        else:
            for benchmark in each["benchmarks"]:
                again = {**benchmark["extra_info"]["rounds"][0], "seed": 1}
                benchmark["extra_info"]["rounds"].append(again)
                benchmark["extra_info"]["accuracy"]["std"] = 0.0
                benchmark["extra_info"]["protocol"]["rounds"] = 2

    names = all_shards(folder, three_times_as_fast)
    assert ran(*names, "-o", "out.json").exit_code == 0
    found = {each["name"]: each["extra_info"]["depth"] for each in read()["benchmarks"]}
    assert found["digits-a"]["criteria"]["time"]["ratio"] == pytest.approx(1 / 6.5, rel=0.02)
    assert found["digits-c"]["criteria"]["time"]["ratio"] == pytest.approx(1)
    assert found["shapes-b"]["cost_aware"] is None
    assert [each["shard"] for each in read()["nets"]["references"]] == [2]
    assert ran(*names[:2], "--partial", "-o", "some.json").exit_code == 1
    assert ran("some.json", *names[2:], "-o", "again.json").exit_code == 0
    first, again = read(), read(Path("again.json"))
    assert again == first


@pytest.mark.usefixtures("folder")
def test_one_file() -> None:
    """A whole run is copied as it is."""
    put("a.json", content(cell("digits-a")))
    assert ran("a.json", "-o", "out.json").exit_code == 0
    assert read() == json.loads(Path("a.json").read_text())


@pytest.mark.usefixtures("folder")
def test_runs_that_are_no_shards() -> None:
    """Files of disjoint cells are joined too, and each cell is judged against the only LeNet-5 of its host."""
    put("a.json", content(cell("digits-lenet5"), cell("digits-a", where=on("elsewhere"))))
    put("b.json", content(cell("digits-b")))
    assert ran("a.json", "b.json", "-o", "out.json").exit_code == 0
    found = {each["name"]: each["extra_info"]["depth"]["reference"] for each in read()["benchmarks"]}
    assert found == {"digits-lenet5": "digits-lenet5", "digits-a": None, "digits-b": "digits-lenet5"}


@pytest.mark.usefixtures("folder")
def test_partial(folder: Path) -> None:
    """A missing shard is refused by its number; --partial says of each of its cells why it is not there."""
    names = all_shards(folder)
    refused = ran(names[1], names[3], "-o", "out.json")
    assert refused.exit_code == 2
    assert "none of the files has the shards 1/4, 3/4" in refused.stderr
    assert not OUT.exists()
    result = ran(names[1], names[3], "-o", "out.json", "--partial")
    assert result.exit_code == 1
    missing = {each["cell"]: each["because"] for each in read()["nets"]["not_run"]}
    assert missing == {
        "digits-lenet5": "the shard 1/4 is missing",
        "shapes-b": "the shard 3/4 is missing",
        "digits-c": "the shard 1/4 is missing",
    }
    assert [each["name"] for each in read()["benchmarks"]] == ["digits-a"]
    assert read_run(OUT).results[0].depth.reference == "digits-lenet5"  # type: ignore[union-attr]
    assert "not run: shapes-b: the shard 3/4 is missing" in result.output
    assert ran("out.json", names[0], names[2], "-o", "all.json").exit_code == 0
    assert read(Path("all.json"))["nets"]["not_run"] == []


@pytest.mark.usefixtures("folder")
def test_an_interrupted_shard(folder: Path) -> None:
    """What broke off, was skipped or never began in a shard is so in the joined file, with workers' places; exit 1."""
    broken = cell(
        "digits-a", rounds=(), accuracy=None, where=on("host2", "gw1"), outcome=Outcome(status="error", failures=("x",))
    )

    def change(number: int, each: dict[str, Any]) -> None:
        if number == 2:
            each["benchmarks"] = []
            skipped = {"cell": "digits-lenet5", "because": "no data", "skipped": True}
            each["nets"] |= {"unfinished": [broken.to_json()], "interrupted": True, "not_run": [skipped]}
        if number == 3:
            each["benchmarks"] = []
            each["nets"]["not_run"] = [{"cell": "shapes-b", "because": "the run was interrupted", "skipped": False}]

    assert ran(*all_shards(folder, change), "-o", "out.json").exit_code == 1
    found = read()["nets"]
    assert found["interrupted"] is True
    assert [each["where"]["worker"] for each in found["unfinished"]] == ["gw1"]
    assert [each["cell"] for each in found["not_run"]] == ["shapes-b"]  # LeNet-5's own shard has its record


@pytest.mark.usefixtures("folder")
def test_a_skipped_cell_is_no_failure(folder: Path) -> None:
    """As in a session: exit 0 where data were missing and something ran, 1 where nothing did."""

    def skip(number: int, each: dict[str, Any]) -> None:
        if number == 3:
            each["benchmarks"] = []
            each["nets"]["not_run"] = [{"cell": "shapes-b", "because": "no data", "skipped": True}]

    assert ran(*all_shards(folder, skip), "-o", "out.json").exit_code == 0
    for number in range(1, N_SHARDS + 1):
        put(f"{number}.json", {**shard(number), "benchmarks": []})
    assert ran(*(f"{number}.json" for number in range(1, N_SHARDS + 1)), "-o", "out.json").exit_code == 1


@pytest.mark.usefixtures("folder")
def test_bands_anew(folder: Path) -> None:
    """With --bands each accuracy is held against that file: a new failure is added, an old one goes, others stay."""
    runs = {
        "cell": "digits-a", "protocol": "quick", "epochs": 1, "batch_size": 100, "lr": 0.001, "source": "a test",
        "pipeline": "resident", "torch": "0", "device": "none", "seeds": [0, 1, 2],
    }  # fmt: skip
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in runs.items())
    for name, accuracies in (("high", [0.99, 0.991, 0.992]), ("fits", [0.89, 0.9, 0.91])):
        Path(f"{name}.toml").write_text(f"schema = 1\n[[runs]]\n{table}\naccuracies = {accuracies}\n")
    names = all_shards(folder)
    kept = ran(*names, "-o", "out.json")
    assert kept.exit_code == 0
    result = ran(*names, "-o", "out.json", "--bands", "high.toml")
    assert result.exit_code == 1
    assert "digits-a: mean accuracy 0.9000 of 1 rounds is below its band" in " ".join(result.output.split())
    other = Outcome(status="failed", failures=("digits-a: too slow",))
    outcome = next(each for each in read()["benchmarks"] if each["name"] == "digits-a")["extra_info"]["outcome"]
    assert outcome["status"] == "failed"
    both = read()
    (record,) = [each["extra_info"] for each in both["benchmarks"] if each["name"] == "digits-a"]
    record["outcome"]["failures"] += other.failures
    put("both.json", both)
    assert ran("both.json", "-o", "out.json", "--bands", "fits.toml").exit_code == 1
    outcome = next(each for each in read()["benchmarks"] if each["name"] == "digits-a")["extra_info"]["outcome"]
    assert outcome == other.to_json()


@pytest.mark.usefixtures("folder")
def test_gate(folder: Path) -> None:
    """--gate holds the joined run against a stored one and exits as nets gate would; its limits are read too."""
    names = all_shards(folder)
    assert ran(*names, "-o", "base.json").exit_code == 0

    def slower(_: int, each: dict[str, Any]) -> None:
        for benchmark in each["benchmarks"]:
            benchmark["extra_info"]["rounds"][0]["train_s"] = 9.0

    names = all_shards(folder, slower)
    result = ran(*names, "-o", "out.json", "--gate", "base.json")
    assert result.exit_code == 1
    assert "regressed: digits-a total_s" in result.output
    Path("limits.toml").write_text('[gate]\ntime_unpaired = "900 %"\n')
    assert ran(*names, "-o", "out.json", "--gate", "base.json", "--gate-config", "limits.toml").exit_code == 0
    refused = ran(*names, "-o", "out.json", "--gate-config", "limits.toml")
    assert (refused.exit_code, "needs --gate" in refused.stderr) == (2, True)
    assert ran(*names, "-o", "base.json", "--gate", "base.json").exit_code == 2


@pytest.mark.usefixtures("folder")
def test_other_benchmarks(folder: Path) -> None:
    """A benchmark that measures no cell runs in every shard, and is in the joined file once, a NaN of it as null."""
    other = {"name": "x", "fullname": "x.py::test_x", "stats": {"min": float("nan")}, "extra_info": {}}
    names = all_shards(folder, lambda _, each: each["benchmarks"].insert(0, other))
    assert ran(*names, "-o", "out.json").exit_code == 0
    found = read_json = json.loads(OUT.read_text())["benchmarks"]
    assert [each["name"] for each in found] == ["x", "digits-lenet5", "digits-a", "shapes-b", "digits-c"]
    assert read_json[0]["stats"]["min"] is None


@pytest.mark.usefixtures("folder")
def test_left_out_everywhere(folder: Path) -> None:
    """A cell that -k left out of its shard is named, and is no failure."""

    def leave_out(number: int, each: dict[str, Any]) -> None:
        if number == 3:
            each["benchmarks"] = []

    result = ran(*all_shards(folder, leave_out), "-o", "out.json")
    assert result.exit_code == 0
    assert "left out in every shard (-k, -m): shapes-b" in result.output


def changed(field: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Sets a dotted field of a file, or of each of its records."""

    def change(each: dict[str, Any]) -> None:
        *path, last = field.split(".")
        tops = [benchmark["extra_info"] for benchmark in each["benchmarks"]] if path[0] == "record" else [each]
        for top in tops:
            for name in path[1:] if path[0] == "record" else path:
                top = top[name]
            top[last] = value

    return change


GPU = Device(type="cuda", name="B200", driver="600").model_dump()
UNLIKE = {
    "another torch": (changed("machine_info.nets.versions.torch", "2.13.0"), "another torch than 1.json: 2.13.0"),
    "another CUDA": (changed("machine_info.nets.cuda", "13"), "another cuda than 1.json: 13"),
    "another nets": (changed("machine_info.nets.versions.nets", "2"), "another version of nets than 1.json: 2"),
    "another commit": (changed("commit_info.id", "b" * 40), f"another commit than 1.json: {'b' * 40}"),
    "dirty": (
        changed("commit_info.dirty", True),
        "another state of the working tree (dirty or not) than 1.json: dirty",
    ),
    "another device": (changed("record.device", GPU), "another device than 1.json: cuda: B200"),
    "another driver": (changed("record.device.driver", "1"), "another driver than 1.json: 1, not none"),
    "another pipeline": (changed("record.pipeline", "article"), "another pipeline than 1.json: article"),
    "other threads": (
        changed("record.execution.threads", 4),
        "another number of threads for batches of 100 than 1.json: 4",
    ),
    "another seed": (changed("record.protocol.seed", 7), "another protocol than 1.json: adam, 1 rounds, seed 7"),
    "other epochs": (
        changed("record.protocol.epochs", 7),
        "another protocol of digits than 1.json: quick (epochs 7",
    ),
    "other workers": (changed("record.where.n_workers", 2), "another number of workers than 1.json: 2, not 1"),
    "another option": (changed("nets.asked.epochs", 3), "another --epochs than 1.json: 3, not none"),
    "other data": (
        changed("record.cell.data_sha256", "f" * 64),
        f"another content of digits than 1.json: SHA-256 {'f' * 64}",
    ),
    "another schema of the file": (
        changed("nets.schema", 2),
        "field 'nets.schema' is 2; this version of nets reads",
    ),
    "another schema of a record": (changed("record.schema", 2), "field 'schema' is 2; this version of nets reads"),
    "other cells": (
        changed("nets.shards.cells", {"digits-a": [2]}),
        "other cells were dealt out than for 1.json: digits-lenet5",
    ),
    "another number of shards": (changed("nets.shards.of", 5), "a shard of 5, but 1.json of 4"),
    "twice": (changed("nets.shards.here", [1]), "it holds the shard 1/4, which is in 1.json, too"),
    "no number": (changed("nets.shards.here", [9]), "not numbers of shards from 1 to 4"),
    "no shard": (lambda each: each["nets"].pop("shards"), "2.json: it is no shard, and 1.json is one"),
    "a side": (changed("nets.pairing", {"id": "x", "rounds": 1, "looks": 1}), "it is a side of a nets ab"),
}  # fmt: skip


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("what", UNLIKE)
def test_no_parts_of_one_run(folder: Path, what: str) -> None:
    """What can't be of one run is refused by the file's name and by what differs, and nothing is written."""
    change, said = UNLIKE[what]
    OUT.write_text("an older file")

    def second(number: int, each: dict[str, Any]) -> None:
        if number == 2:
            change(each)

    result = ran(*all_shards(folder, second), "-o", "out.json")
    assert result.exit_code == 2
    assert "2.json: " in result.stderr
    assert said in result.stderr
    assert OUT.read_text() == "an older file"


def refused(*arguments: str) -> str:
    """What is said to them."""
    result: Ran = ran(*arguments)
    assert result.exit_code == 2, result
    return result.stderr


@pytest.mark.usefixtures("folder")
def test_what_is_named(folder: Path) -> None:
    """No file, no run, a file twice, the same cell in two, OUT among the inputs, in no folder, or a folder."""
    names = all_shards(folder)
    put("plain.json", content(cell("digits-a")))
    put("again.json", content(cell("digits-a")))
    Path("text.json").write_text("{}")
    Path("2.link").symlink_to("2.json")
    assert "none.json: No such file" in refused("none.json", *names, "-o", "out.json")
    assert "text.json: not a pytest-benchmark file" in refused("text.json", "-o", "out.json")
    assert "2.link: it is named twice" in refused(*names, "2.link", "-o", "out.json")
    assert "the cell digits-a is in plain.json, too" in refused("plain.json", "again.json", "-o", "out.json")
    assert "2.json: it is named twice, and would be written over" in refused(*names, "-o", "2.json")
    for option in (("--bands",), ("--gate", "plain.json", "--gate-config")):
        told = refused(*names, *option, "x.toml", "-o", "x.toml")
        assert "x.toml: it is named twice, and would be written over" in told
    assert "the folder no does not exist; make it first" in refused(*names, "-o", "no/out.json")
    assert "it is a folder; name a file" in refused(*names, "-o", ".")
    assert "Missing option" in refused(*names)
    assert not OUT.exists()


@pytest.mark.usefixtures("folder")
def test_pytest_benchmark_reads_it(suite_of_real_timings: Path) -> None:
    """`pytest-benchmark compare` prints every cell of the joined file."""
    assert ran(*(f"{number}.json" for number in range(1, N_SHARDS + 1)), "-o", "out.json").exit_code == 0
    code = "import sys; from pytest_benchmark.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", str(suite_of_real_timings / "out.json"), "--columns=min"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in ("digits-lenet5", "digits-a", "shapes-b", "digits-c"):
        assert f"\n{name} " in done.stdout


@pytest.fixture
def suite_of_real_timings(folder: Path) -> Path:
    """Shards with pytest-benchmark's own fields."""
    stats = {
        **dict.fromkeys(("min", "max", "mean", "median", "total", "q1", "q3", "hd15iqr", "ld15iqr"), 2.0),
        **dict.fromkeys(("stddev", "iqr", "iqr_outliers", "stddev_outliers", "ops"), 0.5),
        "rounds": 1, "iterations": 1, "outliers": "0;0", "data": [2.0],
    }  # fmt: skip
    more = {"group": None, "params": None, "param": None, "options": {}, "stats": stats}

    def change(_: int, each: dict[str, Any]) -> None:
        for benchmark in each["benchmarks"]:
            benchmark |= more

    all_shards(folder, change)
    return folder
