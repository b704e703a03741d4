"""`nets history` and what it can't use: unusable files named and passed over, options refused, foreign text inert."""

from __future__ import annotations

import gc
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nets.cli.history import Progress
from tests.support.histories import commit, found, ran, store
from tests.support.hostile import BAD, EVIL, FULL, demand_inert, leaves
from tests.support.records import record


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("make", "message"), [bad for bad in BAD if bad[1] not in ("No such file",)])
def test_bad_files(make: Callable[[Path], object], message: str) -> None:
    """An unusable file is named with its reason and passed over among good ones; alone it ends with 2."""
    Path("runs").mkdir()
    make(Path("runs/bad.json"))
    if not Path("runs/bad.json").is_dir():  # a folder of that name is searched
        result = ran("runs")
        assert result.exit_code == 2
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
        (["runs", "--json", "nowhere/x.json"], "nowhere/x.json: the folder nowhere does not exist; make it first"),
        (["runs", "--json", "runs/0.json"], "runs/0.json: it is a result file, and would be written over"),
        (["runs", "--json", "newer.json"], "newer.json: it is a result file, and would be written over"),
        (["runs", "--export", "runs/0.json"], "--export: runs/0.json can't be written to"),
        (["runs", "--json", "e/bigger-is-better.json", "--export", "e"], "named twice"),
    ],
)
def test_bad_options(arguments: list[str], message: str) -> None:
    """What can't be used ends with 2 and one sentence, and nothing is written over."""
    store("runs/0.json", 0, record())
    Path("empty").mkdir()
    Path("newer.json").write_text('{"benchmarks": [{"extra_info": {"schema": 2}}]}')
    before = Path("runs/0.json").read_bytes()
    result = ran(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert Path("runs/0.json").read_bytes() == before


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
    demand_inert(result.output)
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
    for i in range(17):  # twelve besides the bad ones: enough to tell a change
        store(f"runs/{i:02d}.json", i, FULL)
    for i, value in enumerate((-1, 0, 1e-320, 1e308, 10**400)):
        file = Path(f"runs/{i + 6:02d}.json")
        bad = json.loads(file.read_text())
        place: Any = bad["benchmarks"][0]["extra_info"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        file.write_text(json.dumps(bad))
    assert ran("runs", "--all", "--json", "all", "--export", "out").exit_code == 0
    json.loads(Path("all").read_text(), parse_constant=pytest.fail)


class Terminal(io.StringIO):
    """Somebody is watching."""

    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, seconds: float, n: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a stream gets of reading n files that take so long each."""
    clock = iter(seconds * i for i in range(10 * n + 10))
    now = [0.0]
    monkeypatch.setattr("nets.cli.history.perf_counter", lambda: now[0])
    with Progress(stream) as progress:
        for i in range(n):
            now[0] = next(clock)
            progress("files read", i, n)
    return stream.getvalue()


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal one line is rewritten, five times a second at most, and gone at the end; what is short has none."""
    monkeypatch.delenv("CI", raising=False)
    assert shown(Terminal(), 0.125, 8, monkeypatch) == ""
    text = shown(Terminal(), 0.125, 1_000, monkeypatch)
    assert "\n" not in text
    assert text.startswith("\r\x1b[Knets history: 9 of 1,000 files read\r\x1b[Knets history: 11 of")
    assert text.count("\r") == 1 + (1_000 - 8) // 2
    assert text.endswith("files read\r\x1b[K")


def test_progress_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a log, and in CI whatever the stream, there is a line each 500 files or 10 s, and none of what is short."""
    assert shown(io.StringIO(), 0.01, 400, monkeypatch) == ""
    lines = [f"nets history: {i:,} of 1,600 files read" for i in (500, 1_000, 1_500)]
    assert shown(io.StringIO(), 0.001, 1_600, monkeypatch).splitlines() == lines
    slow = shown(io.StringIO(), 1.0, 30, monkeypatch)
    assert slow.splitlines() == [f"nets history: {i} of 30 files read" for i in (10, 20)]
    monkeypatch.setenv("CI", "true")
    assert shown(Terminal(), 0.001, 1_600, monkeypatch).splitlines() == lines


def test_progress_is_cleared_by_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C leaves no half of a line behind."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("nets.cli.history.SHOWN_AFTER_S", 0.0)
    stream = Terminal()

    def interrupted() -> None:
        with Progress(stream) as progress:
            progress("files read", 1, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert stream.getvalue() == "\r\x1b[Knets history: 1 of 2 files read\r\x1b[K"


@pytest.mark.usefixtures("folder")
def test_garbage_is_collected_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector of circular garbage rests while files are read, and is as it was afterwards, after a fault too."""
    seen = []
    monkeypatch.setattr("nets.cli.history.Progress.__call__", lambda *_: seen.append(gc.isenabled()))
    store("runs/0.json", 0, record())
    assert ran("runs").exit_code == 0
    assert set(seen) == {False}
    assert gc.isenabled()
    assert ran("runs", "--since", "never").exit_code == 2
    assert gc.isenabled()


@pytest.mark.usefixtures("folder")
def test_progress_is_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading and searching are told of on standard error; the output is the same."""
    for i in range(6):
        store(f"runs/{i}.json", i, record())
    silent = ran("runs")
    assert silent.stderr == ""
    monkeypatch.setattr("nets.cli.history.LOGGED_EVERY", 4)
    told = ran("runs")
    assert told.output == silent.output
    assert told.stderr.splitlines() == [
        "nets history: 4 of 6 files read", "nets history: 4 of 8 lines searched for changes",
    ]  # fmt: skip
