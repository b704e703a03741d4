"""A process that dies (-9) before or after any single operation on its files leaves them whole, and nothing beside.

`NETS_KILLS=100 pytest tests/records/test_killed_writes.py` tries every operation; else every thirteenth is tried.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nets.records.durable import sole_writer
from nets.records.run_file import read_content, read_run
from nets.verdicts.bands import read_bands
from tests.support.forking import Forking
from tests.support.killing import but_times, dies_in, finished, operations_of
from tests.support.shards import all_shards
from tests.support.suite import Suite
from tests.verdicts.test_merge import sitting, write

EVERY = 1 if int(os.environ.get("NETS_KILLS", "0")) else 13
ARGUMENTS = ("benchmarks", "--device", "cpu", "--benchmark-json", "out.json", "--epochs", "1", "--rounds", "1")
PYTEST = """
import pytest, sys, pytest_benchmark.plugin
pytest_benchmark.plugin.get_cpu_info = dict
sys.exit(pytest.main({arguments!r}))
"""
BANDS = """
import sys
from nets.cells import catalog
catalog._TRAINED["digits"] = (100, 1, 20)
from nets.cli.app import app
app(["bands", "--cells", "digits-snn500", "--device", "cpu", "--seeds", "2", "--file", "out.toml"])
"""
MERGE = """
from pathlib import Path
from nets.records.durable import sole_writer
from nets.records.run import Pairing
from nets.verdicts.merge import Sittings, merge_runs
with sole_writer(Path("out.json"), "--out"):
    merge_runs(Sittings([Path("1.json"), Path("2.json")], Pairing(id="x", rounds=1, looks=1)), "none", Path("out.json"))
"""

JOIN = """
from nets.cli.app import app
app(["merge", "1.json", "2.json", "3.json", "4.json", "-o", "out.json"])
"""


def deaths(forking: Forking, code: str, folder: Path) -> Iterator[tuple[int, bool]]:
    """Each operation, before and after: the state before it is the caller's to make; yields once it has died there."""
    log = folder / "log"
    for at in range(1, operations_of(forking, code, folder, log) + 1, EVERY):
        for after in (False, True) if EVERY == 1 else (at > 1,):
            yield at, after


def orphans(folder: Path) -> list[Path]:
    """Temporary files that are left."""
    return list(folder.glob(".nets-*"))


def test_a_run(suite: Suite, forking_process: Forking) -> None:
    """Journal and final file: no finished cell is lost, --resume ends with an undisturbed run's file, and no more."""
    suite.conftest()
    cells = ("--cells", "digits-snn500,digits-lenet5")
    code = PYTEST.format(arguments=[*ARGUMENTS, *cells])
    journal = suite.out.with_name("out.json.journal")
    undisturbed: dict[str, Any] = {}
    n = 0
    for at, after in deaths(forking_process, code, suite.path):
        undisturbed = undisturbed or {name: but_times(record) for name, record in finished(suite.out).items()}
        suite.out.write_text("an older file")
        assert dies_in(forking_process, code, suite.path, suite.path / "log", at=at, after=after) == -signal.SIGKILL
        whole = suite.out.read_text() != "an older file"
        if not whole:
            suite.out.unlink()
        before = finished(suite.out)
        again = PYTEST.format(arguments=[*ARGUMENTS, *cells, "--resume"])
        if not whole or journal.exists():
            assert dies_in(forking_process, again, suite.path, suite.path / "log", at=0, after=False) == 0
        now = finished(suite.out)
        assert {name: now[name] for name in before} == before
        assert {name: but_times(record) for name, record in now.items()} == undisturbed
        assert read_content(suite.out)["nets"]["not_run"] == []
        assert not journal.exists()
        assert not orphans(suite.path)
        n += 1
    assert n
    print(f"{n} deaths")


def test_bands(tmp_path: Path, forking_process: Forking, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bands file is there whole or not at all, and the same command ends with the file of an undisturbed one."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "out.toml"
    undisturbed = None
    n = 0
    for at, after in deaths(forking_process, BANDS, tmp_path):
        undisturbed = undisturbed or read_bands(file)
        file.unlink()
        assert dies_in(forking_process, BANDS, tmp_path, tmp_path / "log", at=at, after=after) == -signal.SIGKILL
        if file.exists():
            read_bands(file)
        assert dies_in(forking_process, BANDS, tmp_path, tmp_path / "log", at=0, after=False) == 0
        assert read_bands(file) == undisturbed
        assert not orphans(tmp_path)
        n += 1
    assert n
    print(f"{n} deaths")


def test_merge(tmp_path: Path, forking_process: Forking, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `nets ab` merges its sittings into is the old file or the new one, and the next run clears up."""
    monkeypatch.chdir(tmp_path)
    for k in (1, 2):
        write(tmp_path / f"{k}.json", sitting(k, 0.9))
    out = tmp_path / "out.json"
    n = 0
    for at, after in deaths(forking_process, MERGE, tmp_path):
        out.write_text("an older file")
        assert dies_in(forking_process, MERGE, tmp_path, tmp_path / "log", at=at, after=after) == -signal.SIGKILL
        if out.read_text() != "an older file":
            assert read_run(out).pairing is not None
        with sole_writer(out, "--out"):
            pass
        assert not orphans(tmp_path)
        n += 1
    assert n
    print(f"{n} deaths")


def test_joined_shards(tmp_path: Path, forking_process: Forking, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nets merge` leaves the old file or the new one, and its shards as they are; the same command clears up."""
    monkeypatch.chdir(tmp_path)
    shards = [Path(name) for name in all_shards(tmp_path)]
    before = [path.read_bytes() for path in shards]
    out = tmp_path / "out.json"
    n = 0
    for at, after in deaths(forking_process, JOIN, tmp_path):
        out.write_text("an older file")
        assert dies_in(forking_process, JOIN, tmp_path, tmp_path / "log", at=at, after=after) == -signal.SIGKILL
        if out.read_text() != "an older file":
            assert len(read_run(out).results) == 4
        assert [path.read_bytes() for path in shards] == before
        n += 1
    assert n
    assert dies_in(forking_process, JOIN, tmp_path, tmp_path / "log", at=0, after=False) == 0
    assert len(read_run(out).results) == 4
    assert not orphans(tmp_path)
    print(f"{n} deaths")
