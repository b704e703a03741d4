"""Foreign files: one snapshot each, and what is refused before anything is made of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nets.errors import Unusable
from nets.gate.limits_input import read_limits
from nets.records.base import parse
from nets.records.comparisons import SideBySide
from nets.records.foreign import out_of_bounds, read_bytes, read_json, read_toml
from nets.records.run import Harness
from nets.records.run_file import parsed_run
from nets.verdicts.bands import read_bands
from tests.support.gating import content
from tests.support.hostile import gigabyte
from tests.support.records import GROWTH, SIDE_BY_SIDE, one_round, record

READERS = (read_json, read_toml, read_limits, read_bands)


QUOTED = '"\\""'
"""A key of TOML, which is a quote."""


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "x: not a plain file"),
        (lambda path: path.symlink_to("/dev/zero"), "x: not a plain file"),
        (lambda path: path.mkdir(), "x: not a plain file"),
        (lambda path: path.symlink_to("x"), "x: Too many levels of symbolic links"),
        (lambda path: None, "x: No such file or directory"),
        (gigabyte, "x: 1,073,741,824 bytes"),
        (lambda path: path.write_bytes(b"\xff"), "x: .*'utf-8' codec can't decode"),
        (lambda path: path.write_text("a = " + "[" * 100_000), "x: "),
    ],
)
def test_what_is_no_file_of_text(read: Callable[[Path], object], make: Callable[[Path], object], message: str) -> None:
    """A pipe, a device, a folder, a loop of links, bytes: each refused by name, by every reader, without waiting."""
    make(Path("x"))
    with pytest.raises(Unusable, match=f"^{message}"):
        read(Path("x"))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("read", [read_toml, read_limits, read_bands])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema = " + 5_000 * "1", "x: Exceeds the limit"),
        ("schema = 0x" + 5_000 * "f", "x: field 'schema': no measurement gives such a number"),
        ("schema = 1\nschema = 1", "x: Cannot overwrite a value"),
        ("schema = " + 60 * "[" + 60 * "]", "x: .* more than 50 deep in one another"),
        (f"{'.'.join(100_000 * 'a')} = 1", "x: a dotted key has more than 50 parts"),
        (f"{'.'.join(2_000 * [QUOTED])} = 1", "x: a dotted key has more than 50 parts"),
        (f"schema = '{100_001 * 'a'}'", "x: field 'schema': a text of 100,001 characters"),
        (f"schema = [{10_001 * '1,'}]", "x: field 'schema': a list of 10,001 values"),
    ],
)
def test_hostile_toml(read: Callable[[Path], object], text: str, message: str) -> None:
    """Numbers, texts, lists, depth and keys of a TOML file are bounded, for bands and limits alike."""
    Path("x").write_text(text)
    with pytest.raises(Unusable, match=f"^{message}"):
        read(Path("x"))


@pytest.mark.usefixtures("folder")
def test_another_benchmarks_nan() -> None:
    """NaN beside the cells is read: it is no number of ours."""
    Path("x").write_text('{"benchmarks": [{"stats": {"mean": NaN}}]}')
    assert str(read_json(Path("x"))) == "{'benchmarks': [{'stats': {'mean': nan}}]}"


def test_bounds_of_a_record() -> None:
    """The first value beyond its bound is named by its place, and a large loss is none."""
    assert out_of_bounds({"rounds": [{"loss": 3e38, "train_loss": [None, 1e-320, -0.0, True]}], "name": "x"}) is None
    for value, message in ((10**400, "number"), (-1e40, "number"), ("x" * 100_001, "text"), ([0] * 10_001, "list")):
        fault = out_of_bounds({"a": [0, {"b": value}]})
        assert fault is not None
        assert fault.startswith("field 'a.1.b': ")
        assert message in fault


@pytest.mark.usefixtures("folder")
def test_one_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file replaced while it is read is read as it was; one that is written to is refused, not read half."""
    changes: list[Callable[[], object]] = []

    def stat_then_change(descriptor: int, fstat: Callable[[int], os.stat_result] = os.fstat) -> os.stat_result:
        found = fstat(descriptor)
        while changes:
            changes.pop()()
        return found

    monkeypatch.setattr(os, "fstat", stat_then_change)
    path, other = Path("x"), Path("y")
    path.write_text("before")
    other.write_text("after")
    changes.append(lambda: other.replace(path))
    assert read_bytes(path) == b"before"
    changes.append(lambda: path.write_text("longer than before"))
    with pytest.raises(Unusable, match="x: it was written to while it was read; try again"):
        read_bytes(path)
    assert read_bytes(path) == b"longer than before"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: run["nets"].update(harness=harness(wall_s=0)), "field 'nets.harness.wall_s'"),
        (
            lambda run: run["nets"].update(harness=harness(timed_s=1e300)),
            "'nets.harness.timed_s': no measurement",
        ),
        (lambda run: run["benchmarks"][1]["extra_info"].update(matmul_flop_per_s=[5e-324]), "'matmul_flop_per_s.0'"),
        (lambda run: run["benchmarks"][1]["extra_info"].update(matmul_flop_per_s=[]), "'matmul_flop_per_s'"),
        (
            lambda run: run["benchmarks"][0]["extra_info"].update(rounds=1_001 * [one_round().to_json()]),
            "'rounds': 1,001 rounds",
        ),
        (
            lambda run: run["machine_info"].update(nets={"cuda": "x" * 100_001}),
            "'machine_info.nets.cuda': a text",
        ),
    ],
)
def test_what_no_formula_stands(change: Callable[[dict[str, Any]], object], message: str) -> None:
    """A number that would be divided by, or a list that would be multiplied, is refused where it is read."""
    whole = content(record())
    whole["benchmarks"].append({"extra_info": GROWTH.to_json()})
    change(whole)
    with pytest.raises(Unusable, match=f"^x: .*{message}"):
        parsed_run(whole, "x")


def harness(**changes: float) -> dict[str, float]:
    """A session's wall time."""
    return dict.fromkeys(Harness.model_fields, 1.0) | changes


def test_many_turns() -> None:
    """More turns than an interval can be computed of are refused, not waited for."""
    sides = [{**side.to_json(), "seconds": [1.0] * 1_100} for side in SIDE_BY_SIDE.sides]
    with pytest.raises(Unusable, match=r"x: field 'sides\.0\.seconds': Tuple should have at most 1000 items"):
        parse({**SIDE_BY_SIDE.to_json(), "sides": sides}, "x", SideBySide)
