"""Whatever stands in a foreign file: a sentence or a result, inert and bounded, and never another exception.

`NETS_FUZZ=30000 pytest tests/cli/test_fuzz.py` tries as many files in each test.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nets.cli.common import judge_files, limits_of, tell
from nets.cli.history import history
from nets.cli.report import report
from nets.errors import NetsError
from nets.gate.limits import Limits
from nets.records import durable
from nets.records.cell import Accuracy
from nets.report.bands import band_parts
from nets.report.text import plain
from nets.verdicts import band_rates
from nets.verdicts.band_rates import rates_of_bands
from nets.verdicts.bands import band_of, read_bands
from tests.support.gating import content
from tests.support.hostile import EVIL, FULL, demand_inert
from tests.support.records import GROWTH, SIDE_BY_SIDE, record

EXAMPLES = int(os.environ.get("NETS_FUZZ", "50"))
MAX_LINES, MAX_WRITTEN = 200_000, 20_000_000
"""Characters of what is printed of one file, and of what is written."""
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
RUN = content(FULL, record(model="snn500")) | {
    "commit_info": {"id": "c", "time": "t", "dirty": False},
    "datetime": "2026-10-01",
}
RUN["benchmarks"] += [{"extra_info": each.to_json()} for each in (SIDE_BY_SIDE, GROWTH)]
RUN["nets"] |= {
    "unfinished": [record(model="cnn3l", rounds=(), accuracy=None).to_json()],
    "not_run": [{"cell": "mnist-other", "because": "skipped"}],
    "pairing": {"id": "a", "rounds": 1, "looks": 1},
    "harness": dict.fromkeys(("timed_s", "import_s", "data_s", "setup_s", "soak_s", "trace_s", "other_s"), 1.0)
    | {"wall_s": 7.0},
}
BANDS = {
    "schema": 1,
    "runs": [
        {
            "cell": "digits-snn500", "protocol": "quick", "epochs": 10, "batch_size": 100, "lr": 0.001, "source": "x",
            "pipeline": "resident", "torch": "2.15", "device": "cpu",
            "seeds": [1, 2, 3, 4, 5], "accuracies": [0.9, 0.91, 0.92, 0.93, 0.94],
        }
    ],
}  # fmt: skip
CONFIG = {
    "gate": {
        **Limits().model_dump(mode="json"),
        "allow": ["torch"],
        "time": "2 %",
        "cells": {"mnist-*": {"time": 0.05, "memory": "5 %"}, "x": {"accuracy": 0.01}},
    }
}

BIG: list[object] = [0, -1, 1, 2**63, 10**39, 10**400]
numbers: st.SearchStrategy[object] = st.sampled_from(
    [*map(float, ("nan", "inf", "-inf", "-0", "5e-324", "1e-300", "1e-12", "1e9", "1e18", "1e39", "1e308")), *BIG]
)
texts = st.sampled_from(
    [
        EVIL,
        "",
        "\ud800",
        "a" * 100_000,
        "a" * 100_001,
        "\x9b31m",
        "\u202ex",
        "::error::x",
        "##[error]x",
        "x\ufe0f",
        "nan",
    ]
)
shapes: st.SearchStrategy[object] = st.sampled_from(
    [None, True, [], {}, [[]], {"schema": 2}, [0] * 1_001, [1.0] * 10_001, json.loads("[" * 60 + "]" * 60)]
)
hostile = numbers | texts | shapes | st.floats() | st.integers() | st.text(max_size=20)


def nodes(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in it but the whole."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from nodes(inner, (*path, key))


def at(whole: Any, path: Iterable[str | int]) -> Any:
    """What lies at a path."""
    for key in path:
        whole = whole[key]
    return whole


Change = tuple[tuple[str | int, ...], object, int]
"""A place, what comes there, and 0 where it is taken out instead."""


def changes(whole: dict[str, Any]) -> st.SearchStrategy[list[Change]]:
    """Up to three places to replace, or to take out; of a run's file half of them beside its many records."""
    places = list(nodes(whole))
    beside = [path for path in places if path[0] != "benchmarks"]
    change = st.tuples(st.sampled_from(beside) | st.sampled_from(places), hostile, st.integers(0, 9))
    return st.lists(change, min_size=1, max_size=3)


def changed(whole: dict[str, Any], to_make: list[Change]) -> dict[str, Any]:
    """The same with these changes, as far as it has their places."""
    made: Any = deepcopy(whole)
    for path, value, taken_out in to_make:
        place = made
        try:
            for key in path[:-1]:
                place = place[key]
            if taken_out:
                place[path[-1]] = deepcopy(value)  # one value may go to two places, one in the other
            else:
                del place[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change has taken it away
    assert isinstance(made, dict)
    return made


def spoilt(whole: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The same with up to three places replaced, or taken out."""
    return changes(whole).map(partial(changed, whole))


torn = st.none() | st.none() | st.none() | st.tuples(st.integers(0, 20_000), st.binary(max_size=8))


def put(path: str, text: str, at: tuple[int, bytes] | None) -> None:
    """Write it, with some bytes in place of the rest from some place on."""
    whole = text.encode("utf-8", "surrogatepass")
    Path(path).write_bytes(whole if at is None else whole[: at[0]] + at[1] + whole[at[0] + 8 :])


@pytest.fixture
def written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the commands write, without a disk's waiting."""
    texts: list[str] = []
    monkeypatch.setattr(durable, "write", lambda path, text: texts.append(text))
    monkeypatch.setattr(band_rates, "TRIALS", 20)
    monkeypatch.setattr(band_rates, "SIMULATIONS", 200)
    Path("good").write_text(json.dumps(RUN))
    Path("runs").mkdir()
    for i in range(2):
        Path(f"runs/{i}.json").write_text(json.dumps(RUN | {"datetime": f"2026-10-0{i + 2}"}))
    return texts


def demand_bounded(work: Any, written: list[str]) -> bool:
    """Run it; whatever it prints or writes is inert and bounded. Whether it ended without a NetsError."""
    written.clear()
    out = io.StringIO()
    try:
        with redirect_stdout(out):
            work()
        is_used = True
    except NetsError as error:
        demand_inert(plain(str(error), 1_000))
        is_used = False
    demand_inert(out.getvalue())
    assert len(out.getvalue()) <= MAX_LINES
    for text in written:
        assert len(text) <= MAX_WRITTEN
        demand_inert(text)
    return is_used


@pytest.mark.parametrize(
    "path", [path for path in nodes(RUN) if path[0] != "benchmarks" and isinstance(at(RUN, path), str)], ids=str
)
def test_half_a_character(path: tuple[str | int, ...], written: list[str]) -> None:
    """Half of a surrogate pair in any text beside the records is replaced, where it is written again, too."""
    bad = deepcopy(RUN)
    at(bad, path[:-1])[path[-1]] = "\ud800"
    put("bad", json.dumps(bad), None)
    for sides in (("good", "bad"), ("bad", "good")):
        base, head = map(Path, sides)
        demand_bounded(lambda base=base, head=head: judge_files(base, head, Limits(), Path("p"), Path("j")), written)
    demand_bounded(lambda: report([Path("bad")]), written)


@fuzz
@given(bad=spoilt(RUN), at=torn)
def test_a_runs_file(bad: dict[str, Any], at: tuple[int, bytes] | None, written: list[str]) -> None:
    """Gate and report give a result or a sentence of any run's file, as base and as head."""
    put("bad", json.dumps(bad), at)
    for sides in (("good", "bad"), ("bad", "good"), ("bad", "bad")):
        base, head = map(Path, sides)
        demand_bounded(lambda base=base, head=head: judge_files(base, head, Limits(), Path("p"), Path("j")), written)
    demand_bounded(lambda: report([Path("bad")]), written)


@fuzz
@given(bad=spoilt(RUN), at=torn)
def test_a_historys_file(bad: dict[str, Any], at: tuple[int, bytes] | None, written: list[str]) -> None:
    """One file of a history costs itself at most: the others are there."""
    put("runs/bad.json", json.dumps(bad), at)
    options: dict[str, Any] = {"cells": None, "metric": None, "everything": True}
    assert demand_bounded(lambda: history(Path("runs"), **options, json_file=Path("j"), export=Path("e")), written), (
        "the whole history was lost"
    )
    assert json.loads(written[0])["n_files"] in (2, 3)


def toml(value: object) -> str:
    """As TOML's inline values, most of which are JSON's."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)} = {toml(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return repr(value) if isinstance(value, float) else json.dumps(value)


def as_toml(table: dict[str, Any]) -> str:
    """A line for each of its keys."""
    return "\n".join(f"{key} = {toml(value)}" for key, value in table.items())


@fuzz
@given(bad=spoilt(BANDS), at=torn)
def test_a_bands_file(bad: dict[str, Any], at: tuple[int, bytes] | None, written: list[str]) -> None:
    """A bands file gives bands or a sentence."""
    put("bands.toml", as_toml(bad), at)

    def work() -> None:
        found = read_bands(Path("bands.toml"))
        accuracy = Accuracy(mean=0.9, std=None, min=0.9, max=0.9)
        band_of("digits-snn500", FULL.protocol, accuracy, diverged=False, bands=found)
        tell(band_parts(rates_of_bands(found, found)))

    demand_bounded(work, written)


@fuzz
@given(bad=spoilt(CONFIG), at=torn)
def test_the_gates_limits(bad: dict[str, Any], at: tuple[int, bytes] | None, written: list[str]) -> None:
    """Any limits that are not refused can be judged by."""
    put("gate.toml", as_toml(bad), at)
    demand_bounded(
        lambda: judge_files(Path("good"), Path("good"), limits_of(Path("gate.toml"), None, None), Path("p"), Path("j")),
        written,
    )
