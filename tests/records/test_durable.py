"""The journal, and the records in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nets.errors import Unusable
from nets.records import durable
from nets.records.durable import Entry, Journal
from tests.support.records import record


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    """Entries come back equal, in order, from the disk."""
    path = tmp_path / "out.json.journal"
    kept = Journal(path)
    entries = [Entry(f"test[{i}]", record(model=name), {"stats": {"data": [1.5]}}) for i, name in enumerate("ab")]
    for entry in entries:
        kept.append(entry)
    assert list(durable.read_journal(path)) == entries == list(kept.entries())


def test_a_half_written_line_is_passed_over(tmp_path: Path) -> None:
    """The last line of a killed process doesn't cost the others."""
    path = tmp_path / "journal"
    Journal(path).append(Entry("test", record(), None))
    with path.open("a") as stream:
        stream.write('{"nodeid": "half')
    assert len(list(durable.read_journal(path))) == 1


def test_a_foreign_line_is_refused(tmp_path: Path) -> None:
    """A whole line that is no entry is refused with its number."""
    path = tmp_path / "journal"
    path.write_text("[]\n")
    with pytest.raises(Unusable, match="journal, line 1: not a journal's line"):
        list(durable.read_journal(path))


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
