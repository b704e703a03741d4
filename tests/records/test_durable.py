"""The journal, and the records in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nets.errors import Unusable
from nets.records import durable
from nets.records.durable import Entry, Journal
from tests.support.records import record

TIMING: dict[str, Any] = {
    "name": "test", "fullname": "a::test", "group": None, "param": None, "params": None, "options": {},
    "stats": {"data": [1.5], "iterations": 1},
}  # fmt: skip


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    """Entries come back equal, in order, from the disk."""
    path = tmp_path / "out.json.journal"
    kept = Journal(path)
    entries = [Entry(f"test[{i}]", record(model=name), TIMING, {"commit": None}) for i, name in enumerate("ab")]
    for entry in entries:
        kept.append(entry)
    assert durable.read_journal(path) == (entries, [])
    assert list(kept.entries()) == entries


def test_a_half_written_line_is_passed_over(tmp_path: Path) -> None:
    """The last line of a killed process doesn't cost the others."""
    path = tmp_path / "journal"
    Journal(path).append(Entry("test", record(), None))
    with path.open("a") as stream:
        stream.write('{"nodeid": "half')
    assert len(durable.read_journal(path)[0]) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"nodeid": 1, "result": {}, "benchmark": null, "origin": {}}',
        b'{"nodeid": "a", "result": {"schema": 1}, "benchmark": null, "origin": {}}',
        b'{"nodeid": "a", "result": {}, "benchmark": {"stats": {"data": [NaN]}}, "origin": {}}',
    ],
)
def test_a_foreign_line_costs_itself(tmp_path: Path, line: bytes) -> None:
    """A whole line that is no entry is told of by its number, and the others are read."""
    path = tmp_path / "journal"
    path.write_bytes(line + b"\n")
    kept = Journal(path, resume=True)
    kept.append(Entry("test", record(), TIMING))
    entries, unreadable = durable.read_journal(path)
    assert [entry.nodeid for entry in entries] == ["test"]
    (sentence,) = unreadable
    assert sentence.startswith(f"{path}, line 1: ")
    assert kept.unreadable == unreadable


def test_old_journals_are_numbered(tmp_path: Path) -> None:
    """What killed runs left is set aside under a name of its own each, and none is overwritten."""
    path = tmp_path / "journal"
    for i in range(4):
        Journal(path).append(Entry(f"test {i}", record(), None))
    assert {each.name: durable.read_journal(each)[0][0].nodeid for each in tmp_path.iterdir()} == {
        "journal": "test 3", "journal.old": "test 0", "journal.old.2": "test 1", "journal.old.3": "test 2",
    }  # fmt: skip


def test_a_journal_that_can_t_be_written(tmp_path: Path) -> None:
    """The entries stay in memory, the reason is kept, and a rename that failed has deleted nothing."""
    (tmp_path / "journal").mkdir()
    kept = Journal(tmp_path / "journal" / "none" / "journal")
    kept.append(Entry("test", record(), None))
    assert [entry.nodeid for entry in kept.entries()] == ["test"]
    assert kept.unwritten is not None
    assert kept.unwritten.endswith("No such file or directory")
    kept.remove()


def test_one_writer(tmp_path: Path) -> None:
    """A file has one writer at a time, by whatever name; what a killed one left half written goes away."""
    path, link = tmp_path / "out.json", tmp_path / "link.json"
    path.write_text("old")
    link.symlink_to(path)
    orphan = tmp_path / f"{durable._temporary_prefix(path)}abc"
    orphan.write_text("half")
    with (
        durable.sole_writer(path, "--out"),
        pytest.raises(Unusable, match=r"--out: another run, not ended yet, is to write .*link\.json"),
        durable.sole_writer(link, "--out"),
    ):
        pass
    assert not orphan.exists()
    with durable.sole_writer(link, "--out"):
        durable.write(link, "new")
    assert path.read_text() == "new"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link.json", "out.json"]


def test_the_mode_stays(tmp_path: Path) -> None:
    """A file that only its owner may read stays so when it is replaced; one with a long name can be, too."""
    path = tmp_path / ("a" * 240 + ".json")
    path.write_text("old")
    path.chmod(0o600)
    durable.write(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)


def test_replacing_a_file_keeps_the_old_one_on_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the new content can't be put in place, the old file stays and nothing is left beside it."""
    path = tmp_path / "out.json"
    durable.write(path, "old")

    def fail(*_: object) -> None:
        raise OSError(28, "disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(Unusable, match="can't be written: disk full"):
        durable.write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
