"""`nets gate`: files in, table, Markdown, JSON and exit code out; bad files refused by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from nets import resultfiles
from nets.cli_gate import gate
from nets.gate import config as gate_config
from nets.gate import runs
from nets.gate.config import Limits
from nets.results import Band, Outcome, Result, Unusable
from tests.gating import GPU, traced
from tests.records import one_round, record, seen_of_gpu
from tests.suite import Suite

app = typer.Typer()
app.command()(gate)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(*results: Result, pairing: object = None, torch: str = "2.12.0") -> dict[str, Any]:
    """A file of these cells, as the suite writes it."""
    return {
        "machine_info": {"nets": {"versions": {"torch": torch, "python": "3.12.3"}, "cuda": None, "cudnn": None}},
        "benchmarks": [{"name": "x", "stats": {}, "extra_info": result.to_json()} for result in results],
        "nets": {"schema": 1, "unfinished": [], "not_run": [], "harness": None, "pairing": pairing},
    }


def write(name: str, *results: Result, **changes: Any) -> str:
    """Write such a file."""
    Path(name).write_text(json.dumps(content(*results, **changes)))
    return name


@dataclass(frozen=True)
class Ran:
    """What a run of the command left; `output` is the standard one."""

    exit_code: int
    output: str
    stderr: str


def ran(*arguments: str) -> Ran:
    """Run the command; a traceback is never what a user sees."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def slow(**changes: Any) -> Result:
    """A cell that takes five times as long."""
    return record(rounds=(one_round(train_s=9.0, eval_s=1.0),), **changes)


@pytest.mark.usefixtures("folder")
def test_exit_codes() -> None:
    """0 for a pass, 1 for a regression, 2 for another torch, 3 for a file that is not there; 3 before 1 before 2."""
    base, same, slower = write("a", record()), write("b", record()), write("c", slow())
    other = write("d", record(), torch="2.13.0")
    both = write("e", record(), record(model="cnn3l", device=record().device.model_copy(update={"name": "B"})))
    two = write("f", slow(), record(model="cnn3l"))
    assert ran(base, same).exit_code == 0
    assert ran(base, slower).exit_code == 1
    assert ran(base, other).exit_code == 2
    assert ran(both, two).exit_code == 1
    assert ran(base, "no such file").exit_code == 3
    assert ran(base, other, "--allow", "torch").exit_code == 0
    assert ran(base, slower, "--limit", "time_unpaired=9", "--limit", "core_seconds_unpaired=9").exit_code == 0


@pytest.mark.usefixtures("folder")
def test_the_table() -> None:
    """The terminal has versions, the times, the sentence of each finding that is not ok, the note, and the verdict."""
    output = ran(write("a", record()), write("b", slow())).output
    assert "base: a: one cell, torch 2.12.0, no CUDA" in output
    assert "+400.00%" in output
    assert "regressed: mnist-lenet5 total_s: beyond the limit of 30 %" in output
    assert "unpaired: two stored files" in output
    assert output.splitlines()[-1] == "FAIL (3 regressed, 7 ok; exit 1)"


@pytest.mark.usefixtures("folder")
def test_the_same_bytes() -> None:
    """Two runs on the same files give the same bytes, wherever cells stand in the file."""
    cells = [slow(), record(model="cnn3l"), record(dataset="digits")]
    base, head = write("a", *cells[::-1]), write("b", *cells[:2])
    first = ran(base, head, "--markdown", "m1", "--json", "j1")
    second = ran(base, head, "--markdown", "m2", "--json", "j2")
    assert first.output == second.output
    assert Path("m1").read_bytes() == Path("m2").read_bytes()
    assert Path("j1").read_bytes() == Path("j2").read_bytes()
    write("b", *cells[:2][::-1])
    assert ran(base, head).output == first.output


@pytest.mark.usefixtures("folder")
def test_json() -> None:
    """The JSON has its schema's number and kind, the limits, and every finding."""
    ran(write("a", record()), write("b", slow()), "--json", "out.json", "--limit", "memory=0.2")
    found = json.loads(Path("out.json").read_text(), parse_constant=pytest.fail)
    assert (found["schema"], found["kind"], found["exit_code"], found["limits"]["memory"]) == (1, "gate", 1, 0.2)
    (total,) = [finding for finding in found["findings"] if finding["metric"] == "total_s"]
    assert (total["status"], total["base"], total["head"]) == ("regressed", 2.0, 10.0)
    assert total["effect"] == pytest.approx(4)


@pytest.mark.usefixtures("folder")
def test_pairing() -> None:
    """The pairing is read from the file's own block."""
    eight = record(rounds=tuple(one_round(seed=i) for i in range(8)))
    pairing = {"id": "x", "rounds": 1, "looks": 3}
    base, head = write("a", eight, pairing=pairing), write("b", eight, pairing=pairing)
    assert "paired: measured in turns" in ran(base, head).output
    for spoilt in (5, "x", {"id": "x", "rounds": 1}, {**pairing, "id": ""}, {**pairing, "looks": 0}):
        assert ran(base, write("c", eight, pairing=spoilt)).exit_code == 3


EVIL = "\x1b[31m<script>alert(1)</script>|[x](http://e.vil)\n# @everyone `a` ![i](j)"


@pytest.mark.usefixtures("folder")
def test_foreign_text_is_harmless() -> None:
    """Neither escapes nor markup of a file's text reach the terminal or the page, from wherever in the file."""
    failed = Outcome(status="failed", failures=(EVIL,))
    base = write("a", record(), record(model=EVIL))
    head = write("b", record(outcome=failed, device=record().device.model_copy(update={"name": EVIL})), torch=EVIL)
    Path("c").write_text(json.dumps(content(record()) | {"nets": {"not_run": [{"cell": EVIL, "because": EVIL}]}}))
    for other in (head, "c"):
        output = ran(base, other, "--markdown", "page.md").output
        assert "\x1b" not in output
        assert "\n#" not in output
        page = Path("page.md").read_text()
        assert not any(forbidden in page for forbidden in ("\x1b", "<script", "](", "![", "`", "@everyone", "http:"))
        (header, *rows) = [line for line in page.splitlines() if line.startswith("|")]
        assert {row.count("|") for row in rows} == {header.count("|")}


@pytest.mark.usefixtures("folder")
def test_the_page() -> None:
    """The Markdown is a heading with the verdict, a table, and the sentences."""
    ran(write("a", record()), write("b", slow()), "--markdown", "page.md")
    page = Path("page.md").read_text().splitlines()
    assert page[0] == "### nets gate: FAIL"
    assert "| mnist-lenet5 | total&#95;s | 2 | 10 | +400.00% | – | 30 % | regressed |" in [
        row.replace("&#43;", "+") for row in page
    ]


def _gigabyte(path: Path) -> None:
    """A sparse file: nothing is stored."""
    path.touch()
    os.truncate(path, 2**30)


def _edited(old: str, new: str) -> Callable[[Path], object]:
    """A good file with something in it replaced."""
    return lambda path: path.write_text(json.dumps(content(record())).replace(old, new))


BAD: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: None, "No such file"),
    (lambda path: path.write_text(""), "not JSON"),
    (lambda path: path.write_text("{"), "not JSON"),
    (lambda path: path.write_bytes(b"{\xff\xff}"), "not JSON: 'utf-8' codec"),
    (lambda path: path.write_text("[" * 100_000), "not JSON: maximum recursion"),
    (lambda path: path.write_text("[1]"), "not a pytest-benchmark file"),
    (lambda path: path.write_text('{"benchmarks": []}'), "it has no field 'nets'"),
    (lambda path: path.write_text('{"benchmarks": [], "nets": {}}'), "field 'machine_info'"),
    (_edited('"schema": 1, "kind"', '"schema": 2, "kind"'), "field 'schema' is 2"),
    (_edited("1.5", "NaN"), "it holds NaN"),
    (_edited("1.5", "1e999"), "train_s': Input should be a finite number"),
    (_edited("1.5", "-1.5"), "train_s': Input should be greater than or equal to 0"),
    (lambda path: path.write_text(json.dumps(content(record(), record()))), "mnist-lenet5 is there 2 times"),
    (lambda path: path.mkdir(), "not a plain file"),
    (os.mkfifo, "not a plain file"),
    (_gigabyte, "1,073,741,824 bytes; a run's file has at most"),
]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_files(make: Callable[[Path], object], message: str) -> None:
    """A file that is unusable ends with 3 and one sentence that names it, as base or as head."""
    make(Path("bad.json"))
    good = write("good.json", record())
    for arguments in (("bad.json", good), (good, "bad.json")):
        result = ran(*arguments)
        assert result.exit_code == 3
        assert result.stderr.startswith("nets gate: bad.json")
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.usefixtures("folder")
def test_junk_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gigabyte is refused by its size, before it is read."""
    _gigabyte(Path("bad.json"))
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("read"))
    with pytest.raises(Unusable, match="1,073,741,824 bytes"):
        runs.read(Path("bad.json"))


@pytest.mark.usefixtures("folder")
def test_files_without_cells() -> None:
    """A base without a cell is unusable; of a head without one every cell is missing."""
    full, empty = write("a", record()), write("b")
    assert ran(empty, full).exit_code == 3
    assert ran(full, empty).exit_code == 1


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "time"], "NAME=VALUE"),
        (["--limit", "tempo=1"], "accuracy, accuracy_alpha"),
        (["--limit", "time=much"], "'much' is not a number"),
        (["--limit", "time=-1"], "field 'time'"),
        (["--limit", "time=nan"], "field 'time'"),
        (["--limit", "min_pairs=4"], "field 'min_pairs'"),
        (["--allow", "weather"], "what may be allowed to differ: device, torch"),
        (["--config", "no.toml"], "no.toml: "),
        (["--markdown", "nowhere/x.md"], "the folder nowhere does not exist"),
        (["--json", "a"], "named twice"),
        (["--json", "x", "--markdown", "x"], "named twice"),
    ],
)
def test_bad_options(arguments: list[str], message: str) -> None:
    """An option that can't be used ends with 3 and a sentence, and writes over nothing."""
    base = write("a", record())
    before = Path(base).read_bytes()
    result = ran(base, write("b", record()), *arguments)
    assert result.exit_code == 3
    assert message in result.stderr
    assert Path(base).read_bytes() == before


@pytest.mark.usefixtures("folder")
def test_config() -> None:
    """The table [gate] sets limits, the command line overrides them; an unknown name or a wrong value is refused."""
    path = Path("nets.toml")
    path.write_text('[other]\n[gate]\ntime_unpaired = 6\nallow = ["torch"]\ncore_seconds_unpaired = 9.0\n')
    limits = gate_config.read(path)
    assert (limits.time_unpaired, limits.time, limits.allow) == (6.0, 0.02, ("torch",))
    base, head = write("a", record()), write("b", slow(), torch="2.13.0")
    assert ran(base, head, "--config", "nets.toml").exit_code == 0
    assert ran(base, head, "--config", "nets.toml", "--limit", "time_unpaired=0.3").exit_code == 1
    for text, message in (
        ("[gate]\ntempo = 1", "gate.tempo"),
        ("[gate]\nmemory = 30", "gate.memory"),
        ('[gate]\nallow = ["weather"]', "gate.allow.0"),
        ("[gate", "nets.toml: "),
        ("[tool]", "no table"),
    ):
        path.write_text(text)
        result = ran(base, head, "--config", "nets.toml")
        assert (result.exit_code, message in result.stderr) == (3, True)


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where the numbers of a record are."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, (*path, i))
    else:
        yield path


FULL = record(
    device=GPU,
    rounds=tuple(one_round(seed=i, accuracy=0.9 + i / 100) for i in range(3)),
    band=Band(low=0.8, high=1, n=20, alpha=0.001, verdict="inside"),
    trace=traced(40, 30),
    gpu=seen_of_gpu(memory_peak_bytes=1, energy_j=1.0, utilization_pct=10.0),
)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("path", list(leaves(FULL.to_json())), ids=lambda path: ".".join(map(str, path)))
def test_no_number_breaks_it(path: tuple[str | int, ...]) -> None:
    """Whatever number stands in a record's field, in base or in head: it is judged or refused, without a traceback."""
    write("good", FULL)
    for value in (-1, 0, 1e-320, 1e308, 10**400):
        bad = content(FULL)
        place: Any = bad["benchmarks"][0]["extra_info"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        Path("bad").write_text(json.dumps(bad))
        for arguments in (("good", "bad"), ("bad", "good")):
            assert ran(*arguments, "--markdown", "page", "--json", "all").exit_code in (0, 1, 2, 3)
            if Path("all").exists():
                json.loads(Path("all").read_text(), parse_constant=pytest.fail)


@pytest.mark.usefixtures("folder")
def test_a_name_that_is_no_text() -> None:
    """A file whose name is not UTF-8 is read all the same."""
    name = os.fsdecode(b"\xff.json")
    assert ran(write(name, record()), name, "--json", "out").exit_code == 0
    assert json.loads(Path("out").read_text())["base"]["source"] == "?.json"


def test_limits_of_the_command_line() -> None:
    """What the command line allows is added to what the file allows, in a fixed order."""
    limits = Limits(allow=("torch",)).changed(allow=("device", "torch"))
    assert limits.allow == ("device", "torch")


def test_a_real_file(suite: Suite) -> None:
    """A file that the suite wrote is read with its versions, and passes against itself."""
    suite.run("--cells", "digits-snn500", "--epochs", "1", "--rounds", "2")
    found = runs.read(suite.out)
    assert found.versions.torch is not None
    assert found.results == resultfiles.read(suite.out).results
    result = ran(str(suite.out), str(suite.out))
    assert result.exit_code == 0, result.output
