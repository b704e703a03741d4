"""Whatever stands in a shard's file: `nets merge` writes a run that can be read again, or says why not.

`NETS_FUZZ=3000 pytest tests/cli/test_merge_fuzz.py` tries as many files in each test.
"""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from nets.cli.merge import merge
from nets.errors import Exit, NetsError
from nets.records.cell import Outcome
from nets.records.run_file import read_run
from nets.report.text import plain
from tests.cli.test_fuzz import MAX_LINES, Change, changed, changes, fuzz, put, torn
from tests.support.hostile import FULL, demand_inert
from tests.support.records import GROWTH, SIDE_BY_SIDE
from tests.support.shards import CELLS, N_SHARDS, cell, on, shard

OUT, BEFORE = Path("out.json"), b"an older file"
NAMES = [f"{number}.json" for number in range(1, N_SHARDS + 1)]


def whole(number: int) -> dict[str, Any]:
    """A shard's file with every kind of part that one may have."""
    made = shard(number)
    if number == 2:
        outcome = Outcome(status="error", failures=("x",))
        broken = cell("digits-a", rounds=(), accuracy=None, where=on("host2", "gw1"), outcome=outcome)
        made["benchmarks"].pop()
        made["benchmarks"] += [
            {"name": "x", "fullname": "x.py::x", "stats": {"min": 1.0}, "extra_info": {}},
            *({"fullname": each.kind, "extra_info": each.to_json()} for each in (SIDE_BY_SIDE, GROWTH)),
        ]
        made["nets"] |= {
            "unfinished": [broken.to_json()],
            "not_run": [{"cell": "shapes-b", "because": "no data", "skipped": True}],
            "harness": dict.fromkeys(
                ("wall_s", "timed_s", "import_s", "data_s", "setup_s", "soak_s", "trace_s", "other_s"), 1.0
            ),
            "joined": [{"file": "2.json", "shards": [2], "ran": "x", "hosts": ["a"], "n_cells": 1}],
            "references": [{"shard": 2, "record": cell("digits-lenet5", where=on("host2")).to_json()}],
        }
    if number == 3:
        plain_cell = cell("shapes-b", where=on("host3"))
        full = FULL.replace(cell=plain_cell.cell, device=plain_cell.device, where=plain_cell.where)
        made["benchmarks"][0]["extra_info"] = full.to_json()
    return made


SHARDS = [whole(number) for number in range(1, N_SHARDS + 1)]
CHANGES = st.one_of(*(st.tuples(st.just(name), changes(each)) for name, each in zip(NAMES, SHARDS, strict=True)))
"""The name of one, and what is changed in it."""


@pytest.fixture
def shards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a run, and an older one in the place of what is written; without a disk's waiting."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def merged(*names: str, **options: Any) -> bool:
    """Merge files; whether they were joined. Whatever happens, what is printed is inert and nothing is left."""
    OUT.write_bytes(BEFORE)
    printed, status = io.StringIO(), Exit.UNUSABLE
    try:
        with redirect_stdout(printed):
            merge([Path(name) for name in names], OUT, **options)
    except typer.Exit as ended:
        status = Exit(ended.exit_code)
    except NetsError as error:
        demand_inert(plain(str(error), 1_000))
    if status == Exit.UNUSABLE:
        assert OUT.read_bytes() == BEFORE
        assert printed.getvalue() == ""
    else:
        assert status in (Exit.FINE, Exit.REGRESSED)
        read_run(OUT)
    demand_inert(printed.getvalue())
    assert len(printed.getvalue()) <= MAX_LINES
    assert sorted(path.name for path in Path().iterdir()) == [*NAMES, OUT.name]
    return status != Exit.UNUSABLE


@pytest.mark.usefixtures("shards")
def test_the_shards_themselves() -> None:
    """As they are, they are joined: what the other test spoils is no failure to begin with."""
    for name, content in zip(NAMES, SHARDS, strict=True):
        put(name, json.dumps(content), None)
    assert merged(*NAMES)
    assert {result.id for result in read_run(OUT).cells} == set(CELLS)


@fuzz
@given(change=CHANGES, at=torn, spoilt=st.sampled_from(["one of all", "one alone", "all alike"]))
def test_a_shards_file(
    change: tuple[str, list[Change]], at: tuple[int, bytes] | None, spoilt: str, shards: None
) -> None:
    """Spoilt shards are joined or refused in a sentence; where they are refused the file of before is untouched."""
    bad, to_make = change
    for name, content in zip(NAMES, SHARDS, strict=True):
        is_bad = name == bad or spoilt == "all alike"
        put(name, json.dumps(changed(content, to_make) if is_bad else content), at if name == bad else None)
    merged(*([bad] if spoilt == "one alone" else NAMES), partial=spoilt == "one alone")
