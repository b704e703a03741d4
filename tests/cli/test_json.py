"""`--json FILE`: the same option, with the same behaviour, in every command."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

from nets.ab.compare import Comparison
from nets.ab.reporter import Reporter
from nets.cli.app import app
from nets.gate.findings import Gate
from nets.verdicts import band_rates
from tests.ab.test_bisect import gate, total
from tests.cli.test_fuzz import BANDS, as_toml
from tests.support.commands import Ran, runner
from tests.support.gating import write
from tests.support.histories import store
from tests.support.records import record
from tests.support.repositories import commit, made
from tests.support.shards import all_shards
from tests.support.suite import REPOSITORY

COMMAND: Any = typer.main.get_command(app)
ARGUMENTS: Mapping[str, list[str]] = {
    "depth": [f"{REPOSITORY / 'examples' / 'my_nets.py'}:mlp4", "--input", "1x28x28"],
    "bands": ["--rates", "--file", "bands.toml"],
    "ab": ["main", "HEAD"],
    "bisect": ["HEAD~1", "HEAD"],
    "bisect-step": ["HEAD~1"],
    "gate": ["base.json", "head.json"],
    "merge": ["1.json", "2.json", "3.json", "4.json", "-o", "out.json"],
    "report": ["base.json", "head.json"],
    "history": ["runs"],
    "init": ["--check"],
    "doctor": [],
}
MEASURED: list[str] = []
"""What was compared in a test."""


def compared(base: str, head: str, how: Comparison, _: object, reporter: Reporter) -> None:
    """Stands in for a measurement."""
    MEASURED.append(head)
    reporter.say(f"{base} and {head} are measured")
    for file in how.files:
        write(str(file), record())


def judged(good: str, commit: str, how: object, cells: object, lines: Reporter) -> Gate:
    """Stands in for a step of a bisection."""
    MEASURED.append(commit)
    lines.say(f"{commit} is measured")
    return gate(total("regressed", 0.1)).replace(exit_code=1)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two commits, runs, shards, a history and a bands file; nothing is measured."""
    repository = made(tmp_path, monkeypatch)
    for text in "01":
        commit({"file": text})
    write("base.json", record())
    write("head.json", record(model="cnn3l"))
    all_shards(repository)
    for i in range(2):
        store(f"runs/{i}.json", i, record())
    Path("bands.toml").write_text(as_toml(BANDS))
    monkeypatch.setattr("nets.ab.compare.compare", compared)
    monkeypatch.setattr("nets.cli.bisect._compared", judged)
    monkeypatch.setattr(band_rates, "SIMULATIONS", 200)
    MEASURED.clear()


def ran(name: str, *more: str) -> Ran:
    """Run a command, which knows nothing of a call before."""
    shutil.rmtree("nets-bisect", ignore_errors=True)
    return runner(name)(*ARGUMENTS[name], *more)


def without_space(printed: str) -> str:
    """What was printed, but for the room on a disk, which changes."""
    return re.sub(r"(?m)^.*GiB free.*$", "", printed)


def kinds() -> dict[str, tuple[str, str]]:
    """Command -> kind and schema, by the documentation."""
    rows = re.findall(
        r"(?m)^\| `nets ([\w-]+)[^|]* \| `(\w+)` \| (\d+) \|", (REPOSITORY / "docs" / "cli.md").read_text()
    )
    return {command: (kind, schema) for command, kind, schema in rows}


@pytest.mark.parametrize("name", COMMAND.commands)
def test_one_option(name: str) -> None:
    """Every command has it, and says the same of it."""
    (option,) = [each for each in COMMAND.commands[name].params if "--json" in each.opts]
    (first, *_) = [each for each in COMMAND.commands["gate"].params if "--json" in each.opts]
    assert (option.metavar, option.help) == ("FILE", first.help)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", COMMAND.commands)
def test_a_file_and_standard_output(name: str) -> None:
    """A file is written beside what is printed; with - the JSON is alone on standard output, and all else on the other.

    The schema and kind come first, as the documentation has them, and the exit code is what it is without.
    """
    alone, to_file, to_output = ran(name), ran(name, "--json", "x.json"), ran(name, "--json", "-")
    assert alone.exit_code == to_file.exit_code == to_output.exit_code <= 1, alone.stderr
    assert without_space(alone.output) == without_space(to_file.output) == without_space(to_output.stderr)
    assert alone.output
    assert alone.stderr == to_file.stderr == ""
    content = json.loads(Path("x.json").read_text(), parse_constant=pytest.fail)
    assert list(content)[:2] == ["schema", "kind"]
    assert (content["kind"], str(content["schema"])) == kinds()[name]
    assert without_space(to_output.output) == without_space(Path("x.json").read_text())
    assert not Path("-").exists()


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", COMMAND.commands)
def test_where_it_cannot_be_written(name: str) -> None:
    """A folder, one that isn't there or takes no file, and a result file are refused before anything is done."""
    before = Path("base.json").read_bytes()
    for path, because in {
        ".": "it is a folder",
        "none/x.json": "the folder none does not exist",
        "/proc/x.json": "",
        "base.json": "would be written over",
    }.items():
        done = ran(name, "--json", path)
        assert (done.exit_code, done.output) == (128 if name == "bisect-step" else 2, "")
        assert done.stderr.startswith(f"nets {name}: {path}: ")
        assert because in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert MEASURED == []
    assert Path("base.json").read_bytes() == before
    assert not Path("out.json").exists()


@pytest.mark.usefixtures("files")
def test_where_it_makes_no_sense() -> None:
    """`nets init` that writes, and `nets bands` that measures, have no JSON; two outputs can't share one stream."""
    for name, arguments, because in (
        ("init", (), "--json needs --check"),
        ("bands", (), "--json needs --rates"),
        ("report", ("base.json", "--csv", "-"), "named twice"),
    ):
        done = runner(name)(*arguments, "--json", "-")
        assert (done.exit_code, done.output) == (2, "")
        assert because in done.stderr
    assert not Path("conftest.py").exists()


@pytest.mark.usefixtures("files")
def test_a_device() -> None:
    """What is no plain file, as a shell's >(...) is none, is written to as it is."""
    Path("null").symlink_to("/dev/null")
    assert ran("gate", "--json", "null").exit_code == 1
    assert Path("null").is_symlink()


@pytest.mark.usefixtures("files")
def test_the_contents() -> None:
    """Each has what its command prints: the first bad commit, the verdict on joined shards, rows, missing files."""

    def content(name: str, *more: str) -> Any:
        return json.loads(ran(name, *more, "--json", "-").output)

    (first_bad,) = content("bisect")["first_bad"]
    assert [first_bad] == MEASURED
    step = content("bisect-step")
    assert (step["exit_code"], step["findings"][0]["status"]) == (1, "regressed")
    assert "regressed" in step["sentence"] or "slower" in step["sentence"]
    merged = content("merge", "--gate", "base.json")
    assert (merged["out"], merged["gate"]["kind"], merged["shards"]["missing"]) == ("out.json", "gate", [])
    assert merged["exit_code"] == merged["gate"]["exit_code"] == 1
    assert {"cell": "shapes-b", "status": "passed"} in merged["cells"]
    rows = {(row["cell"], row["metric"]): row for row in content("report")["rows"]}
    assert rows["mnist-lenet5", "total_s"]["value"] == record().rounds[0].time_s
    assert {"file": "conftest.py", "is_new": True, "because": "missing"} in content("init")["changes"]
    (rated,) = content("bands")["cells"]
    assert (rated["cell"], rated["rates"]["n"], rated["published"]) == ("digits-snn500", 5, None)
