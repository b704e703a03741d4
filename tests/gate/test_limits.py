"""Limits as they are written: for all cells or for some, as fractions or percentages, and asked about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nets.ab.looks import plan
from nets.errors import Unusable
from nets.gate.findings import Status
from nets.gate.limits import CellLimits, Limits
from nets.gate.limits_input import changed, read_limits
from nets.records.cell import Cpu
from tests.support.commands import runner
from tests.support.gating import judged, paired, run, statuses, the, timed, write
from tests.support.records import record

ran = runner("gate")


def limits_of(text: str) -> Limits:
    """What is read of a file."""
    Path("x.toml").write_text(text)
    return read_limits(Path("x.toml"))


CELLS = """
[gate]
time = 0.03

[gate.cells."mnist-*"]
time = 0.05
memory = "20 %"

[gate.cells."*-lenet5"]
time = 0.07
"""


@pytest.mark.usefixtures("folder")
def test_limits_of_some_cells() -> None:
    """Each limit of a cell is that of the file's last table that matches its id and sets it; else that of all cells."""
    limits = limits_of(CELLS)
    for cell, time, memory in (
        ("mnist-lenet5", 0.07, 0.2),
        ("mnist-snn500", 0.05, 0.2),
        ("digits-lenet5", 0.07, 0.1),
        ("digits-snn500", 0.03, 0.1),
        ("MNIST-snn500", 0.03, 0.1),
    ):
        found = limits.for_cell(cell)
        assert (found.time, found.memory, found.energy) == (time, memory, 0.1)


@pytest.mark.usefixtures("folder")
def test_the_command_line_is_for_all_cells() -> None:
    """What the command line sets holds for every cell, tables of the file or not; the tables' other limits stay."""
    limits = changed(limits_of(CELLS), ["time=0.01"])
    assert {limits.for_cell(f"mnist-{name}").time for name in ("lenet5", "snn500")} == {0.01}
    assert limits.for_cell("mnist-lenet5").memory == 0.2


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("alpha = 0.01", 'x.toml: gate.cells."m-*".alpha: it holds for the whole run; such a table may set time, '),
        ("min_pairs = 8", "it holds for the whole run"),
        ("accuracy_alpha = 0.01", "it holds for the whole run"),
        ('allow = ["torch"]', "it holds for the whole run"),
        (
            "tempo = 0.1",
            'gate.cells."m-*".tempo: it is no limit; such a table may set time, time_unpaired, time_faster',
        ),
        ("time = 5", 'gate.cells."m-*".time: 5 would be 500 %: did you mean 0.05?'),
        ("time = -1", r"field 'gate.cells.m-*.time': Input should be greater than 0"),
        ("time = true", 'gate.cells."m-*".time: true is no number'),
    ],
)
def test_what_a_table_of_cells_can_not_set(line: str, message: str) -> None:
    """A name that is unknown, or of the whole run, and a value that can't be, are refused with the table's pattern."""
    with pytest.raises(Unusable) as raised:
        limits_of(f'[gate.cells."m-*"]\n{line}')
    assert message in str(raised.value)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("text", ["[gate]\ncells = 5", '[gate]\ncells = "5 %"', "gate = 5", "[gate.cells]\nx = 1"])
def test_what_is_no_table(text: str) -> None:
    """Anything else where a table must be is refused by its field."""
    with pytest.raises(Unusable, match=r"x\.toml: field 'gate"):
        limits_of(text)


@pytest.mark.usefixtures("folder")
def test_a_pattern_without_a_cell() -> None:
    """A note says which limits hold for which cells, and which pattern matches none, which refuses nothing."""
    Path("x.toml").write_text(CELLS + '[gate.cells."minst-*"]\ntime = 0.5\n[gate.cells."digits-*"]\n')
    both = (record(), record(dataset="digits"))
    output = ran(write("a", *both), write("b", *both), "--config", "x.toml").output
    assert 'note: gate.cells."mnist-*": memory = 0.2, time = 0.05, for mnist-lenet5' in output
    assert 'note: gate.cells."*-lenet5": time = 0.07, for digits-lenet5, mnist-lenet5' in output
    assert 'note: gate.cells."minst-*": time = 0.5, no cell of base or head has such an id' in output
    assert 'note: gate.cells."digits-*": nothing, for digits-lenet5' in output


def test_cells_are_judged_by_their_own_limits() -> None:
    """Of two cells that are slower by as much only the one with the narrow limit has regressed; in pairs and files."""
    base, head = ([timed([s] * 9, model=model) for model in ("a", "b")] for s in (2.0, 2.2))
    cells = {"mnist-b": CellLimits(time=0.2, time_unpaired=0.3), "*-a": CellLimits(time_unpaired=0.05)}
    for found in (paired(base, head, cells=cells), judged(run(*base), run(*head), cells=cells)):
        totals = {each.cell: (each.status, each.limit) for each in found.findings if each.metric == "total_s"}
        assert totals["mnist-a"] == ("regressed", 0.02 if found.paired else 0.05)
        assert totals["mnist-b"] == ("ok", 0.2 if found.paired else 0.3)


def test_new_cells_and_figures_too() -> None:
    """The network and single figures of a cell are held to its own limits as its time is."""
    head = record(cpu=Cpu(core_s=3.0, rss_peak_bytes=1_000_000))
    assert statuses(judged(record(), head)) == {"core_s": "regressed"}
    assert statuses(judged(record(), head, cells={"*": CellLimits(core_seconds_unpaired=0.9)})) == {}


def test_nets_ab_stops_by_the_limit_of_a_cell() -> None:
    """A cell whose own limit is wide is found the same, and one whose limit is narrow slower, at the same look."""
    made = plan("screen", 2, 12, Limits(cells={"wide": CellLimits(time=0.2)}))
    log_ratios = [0.04 + 0.001 * i for i in range(12)]
    assert made.for_cell("wide").verdict(log_ratios)[0] == "the same"
    assert made.for_cell("other").verdict(log_ratios)[0] == "slower"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("text", "value"),
    [("0.05", 0.05), ('"5 %"', 0.05), ('"5%"', 0.05), ('" 12.5 % "', 0.125), ('"500 %"', 5.0), ("0.99", 0.99)],
)
def test_fractions_and_percentages(text: str, value: float) -> None:
    """A fraction and a percentage are the same limit, in the file and on the command line; a percentage insists."""
    assert limits_of(f"[gate]\ntime = {text}").time == pytest.approx(value)
    assert changed(Limits(), [f"time={text.strip(chr(34))}"]).time == pytest.approx(value)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("time", "5", '5 would be 500 %: did you mean 0.05? If 500 % is meant, write it with its sign: "500 %"'),
        ("time", "1", 'did you mean 0.01? If 100 % is meant, write it with its sign: "100 %"'),
        ("time", "30", "30 would be 3000 %: did you mean 0.3?"),
        ("memory", "2.5", "did you mean 0.025?"),
        ("accuracy", "0.5", 'did you mean 0.005? If 50 % is meant, write it with its sign: "50 %"'),
        ("accuracy", "5", "did you mean 0.05?"),
        ("alpha", "5", "5 would be 500 %: did you mean 0.05?"),
    ],
)
def test_what_can_not_be_meant(name: str, text: str, message: str) -> None:
    """A number that is a percentage by its looks is refused with the question, and how to insist where one can."""
    with pytest.raises(Unusable) as of_file:
        limits_of(f"[gate]\n{name} = {text}")
    with pytest.raises(Unusable) as of_command:
        changed(Limits(), [f"{name}={text}"])
    can_insist = (name, text) not in (("alpha", "5"), ("time", "30"), ("accuracy", "5"))
    for raised, where in ((of_file, f"x.toml: gate.{name}: "), (of_command, f"--limit {name}={text}: ")):
        assert str(raised.value).startswith(where)
        assert message in str(raised.value)
        assert ("is meant, write" in str(raised.value)) == can_insist


@pytest.mark.parametrize("text", ["time_faster=5", "min_pairs=9", "accuracy=0.09", "time=0.99", "time=99%"])
def test_what_may_be_meant(text: str) -> None:
    """A count, a cell that may be six times as fast, and what lies below the line are not asked about."""
    assert isinstance(changed(Limits(), [text]), Limits)


@given(st.sampled_from(sorted(set(Limits.model_fields) - {"allow", "cells", "min_pairs"})), st.floats(0, 2_000))
def test_any_number(name: str, value: float) -> None:
    """Any number is taken as it is or refused with a sentence; what is taken can be changed again."""
    try:
        found = changed(Limits(), [f"{name}={value!r}"])
    except Unusable:
        return
    assert getattr(found, name) == value
    assert changed(found, [], ["torch"]).replace(allow=()) == found


def test_limits_that_insist_stay() -> None:
    """A limit of 500 % survives another change, and is written into the file of findings as it is."""
    found = changed(changed(Limits(cells={"x": CellLimits(time=3.0)}), ["time_unpaired=500%"]), ["time=0.1"], ["torch"])
    assert (found.time, found.time_unpaired, found.allow) == (0.1, 5.0, ("torch",))
    assert dict(found.cells) == {"x": CellLimits()}
    assert json.loads(Limits(cells={"x": CellLimits(time=3.0)}).model_dump_json())["cells"] == {"x": {"time": 3.0}}


@pytest.mark.parametrize(("seconds", "status"), [(1.01, "improved"), (0.99, "incomparable"), (0.01, "incomparable")])
def test_too_much_faster(seconds: float, status: Status) -> None:
    """A cell more than twice as fast can't be told from one that stopped working; as much can be allowed."""
    for found in (
        judged(timed([2.0] * 9), timed([seconds] * 9)),
        paired([timed([2.0] * 9)], [timed([seconds] * 9)]),
    ):
        total = the(found, "total_s")
        assert total.status == status
        assert found.exit_code == (3 if status == "incomparable" else 0)
        if status == "incomparable":
            assert total.limit == 1.0
            assert "where more than 2 times is not believed: does head still do all of the work?" in str(total.because)
            assert {finding.metric for finding in found.with_status("incomparable")} == {"total_s"}
    assert judged(timed([2.0] * 9), timed([seconds] * 9), time_faster=300).exit_code == 0
    assert judged(timed([2.0]), timed([seconds]), cells={"*": CellLimits(time_faster=300)}).exit_code == 0


def test_a_part_that_is_no_longer_done() -> None:
    """An evaluation that takes next to nothing is asked about, though the total is not twice as fast."""
    base = timed([2.0] * 3)
    head = base.replace(rounds=tuple(each.replace(eval_s=1e-4) for each in base.rounds))
    found = judged(base, head)
    assert statuses(found) == {"eval_s": "incomparable"}
    assert found.exit_code == 3
    tiny = base.replace(rounds=tuple(each.replace(eval_s=0.01) for each in base.rounds))
    assert judged(tiny, head).exit_code == 0


def test_a_faster_device_is_believed() -> None:
    """Across a difference that is allowed on purpose a cell may be as fast as it likes."""
    head = timed([0.1] * 9, device=record().device.replace(name="another"))
    assert judged(timed([2.0] * 9), head, allow=("device",)).exit_code == 0


def test_more_than_the_wide_limit_allows() -> None:
    """What a limit of 400 % lets pass as ok is asked about where it is too much faster."""
    assert the(judged(timed([2.0]), timed([0.5]), time_unpaired=4.0), "total_s").status == "incomparable"


@pytest.mark.usefixtures("folder")
def test_chosen_cells() -> None:
    """`--cells` judges these alone, says so, and takes no other's failure; an unknown one is refused with the known."""
    slow = timed([9.0], model="cnn3l")
    base = write("a", record(), record(model="cnn3l"), record(model="gone"))
    head = write("b", record(), slow)
    assert ran(base, head).exit_code == 1
    chosen = ran(base, head, "--cells", "mnist-lenet5")
    assert chosen.exit_code == 0
    assert "note: --cells: 1 of 3 cells are judged" in chosen.output
    assert "cnn3l" not in chosen.output
    assert ran(base, head, "--cells", "mnist-lenet5,mnist-gone").exit_code == 1
    refused = ran(base, head, "--cells", "mnist-lenet5,mnist-snn500")
    assert refused.exit_code == 2
    assert "--cells mnist-snn500: neither file has it; they have mnist-cnn3l, mnist-gone, mnist-lenet5" in " ".join(
        refused.stderr.split()
    )
    assert ran(base, head, "--cells", "").exit_code == 2
    assert ran(head, base, "--cells", "mnist-gone").exit_code == 2, "base has it not: nothing to compare with"
