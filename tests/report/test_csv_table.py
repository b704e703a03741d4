"""Runs as CSV: a row a cell and metric, that any reader of CSV reads as it was meant."""

from __future__ import annotations

import csv
import io
from statistics import stdev
from typing import Any

import pytest

from nets.records.cell import Outcome
from nets.records.metrics import METRICS
from nets.records.run import CommitInfo
from nets.report.csv_table import HEADINGS, csv_text, run_rows
from tests.support.gating import banded, run
from tests.support.hostile import EVIL, FULL, demand_inert
from tests.support.records import one_round, record, seen_of_gpu


def rows(*results: Any, **changes: Any) -> list[dict[str, str]]:
    """The table of a run of these cells, as Python's csv reads it."""
    return list(csv.DictReader(io.StringIO(csv_text(run_rows(run(*results, **changes))))))


def the(found: list[dict[str, str]], metric: str) -> dict[str, str]:
    """The only row of a metric."""
    (row,) = [row for row in found if row["metric"] == metric]
    return row


def test_a_mean_of_rounds() -> None:
    """A metric of rounds is their mean, with its unit, their number, standard deviation, commit and circumstances."""
    seconds = (1.0, 2.0, 4.5)
    made = record(rounds=tuple(one_round(seed=i, train_s=s, eval_s=0.5) for i, s in enumerate(seconds)))
    found = rows(made, commit=CommitInfo(id="a" * 40, dirty=True), ran="2026-10-01T00:00:00+00:00")
    row = the(found, "train_s")
    assert (row["unit"], float(row["value"]), row["n"], float(row["spread"])) == ("seconds", 2.5, "3", stdev(seconds))
    assert {name: row[name] for name in HEADINGS[:12]} == {
        "file": "x.json", "date": "2026-10-01T00:00:00+00:00", "commit": "a" * 40, "dirty": "yes",
        "cell": "mnist-lenet5", "dataset": "mnist", "network": "lenet5", "device": "cpu: a CPU", "torch": "2.12.0",
        "protocol": "quick", "pipeline": "resident", "status": "passed",
    }  # fmt: skip
    assert float(the(found, "total_s")["value"]) == 3.0
    assert float(the(found, "training_images_per_s")["value"]) == pytest.approx(
        (60_000 / 1 + 60_000 / 2 + 60_000 / 4.5) / 3
    )


def test_one_round_has_no_spread() -> None:
    """One round has a value and n = 1, and an empty spread, never 0."""
    row = the(rows(record()), "accuracy")
    assert (row["unit"], row["value"], row["n"], row["spread"]) == ("fraction of 1", "0.9", "1", "")


def test_every_metric_has_its_unit() -> None:
    """Each cell has the same metrics, once each, the gate's among them, each with a unit."""
    found = rows(FULL, record("digits"))
    of_each = [[row["metric"] for row in found if row["cell"] == cell] for cell in (FULL.id, "digits-lenet5")]
    assert of_each[0] == of_each[1]
    assert len(set(of_each[0])) == len(of_each[0])
    assert {metric.name for metric in METRICS} <= set(of_each[0])
    assert all(row["unit"] for row in found)
    assert all(bool(row["value"]) != bool(row["because"]) for row in found)
    assert all((row["n"] == "0") == (row["value"] == "") for row in found)


def test_what_was_not_measured() -> None:
    """A figure that was not measured is empty, with the record's own reason."""
    found = rows(record())
    for metric, because in (
        ("energy_j", "ran on the CPU"), ("trace_gpu_utilization_pct", "not taken"), ("band_low", "no reference runs"),
        ("time_over_reference", "4 hidden layers"),
    ):  # fmt: skip
        row = the(found, metric)
        assert (row["value"], row["because"]) == ("", because)


def test_a_loss_that_was_not_finite() -> None:
    """A mean over rounds of which one diverged is none: it is empty, and says of how many."""
    made = record(rounds=(one_round(), one_round(seed=1, loss=None)))
    row = the(rows(made), "loss")
    assert (row["value"], row["n"], row["because"]) == ("", "0", "not finite in 1 of 2 rounds")


def test_what_is_unfit_says_so() -> None:
    """A time of disturbed rounds and a spoilt figure of the GPU keep their values, beside the reason against them."""
    spoilt = seen_of_gpu("soak", ("another process ran",), energy_per_step_j=0.5)
    made = FULL.replace(gpu=spoilt, rounds=(one_round(disturbed=True), one_round(seed=1)))
    found = rows(made)
    assert the(found, "total_s")["unfit"] == "other processes were busy during 1 of 2 rounds"
    assert the(found, "accuracy")["unfit"] == ""
    energy = the(found, "energy_per_step_j")
    assert (energy["unit"], energy["value"], energy["window"]) == ("joules", "0.5", "soak")
    assert energy["unfit"] == "another process ran"


def test_a_band() -> None:
    """A band's ends are metrics, of as many values as there were reference runs."""
    row = the(rows(banded("inside")), "band_high")
    assert (row["value"], row["n"]) == ("0.99", "20")


def test_cells_without_rounds() -> None:
    """A cell that broke off has all metrics with a reason; one that did not run has a row, with the reason."""
    outcome, unread = Outcome(status="error", failures=("x",)), record().cell.replace(n_train=None)
    broken = record(cell=unread, rounds=(), accuracy=None, cpu=None, network=None, outcome=outcome)
    found = rows(unfinished=(broken,), not_run=(("mnist-snn500", "no data"),))
    assert {row["status"] for row in found[:-1]} == {"error"}
    assert the(found, "total_s")["because"] == "the cell has no finished round"
    assert the(found, "parameters")["because"] == "the network was not built"
    last = {name: found[-1][name] for name in ("cell", "status", "metric", "value", "because")}
    assert last == {"cell": "mnist-snn500", "status": "not run", "metric": "", "value": "", "because": "no data"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1", "＝1", " =1"])
def test_no_formula(text: str) -> None:
    """What a spreadsheet would take for a formula is text to it, wherever a name or a reason begins so."""
    found = rows(record(model=text), not_run=((text, text),), source=text)
    for value in (found[0]["file"], found[0]["network"], found[-1]["cell"], found[-1]["because"]):
        assert value == "'" + text.strip()


def test_numbers_are_no_formulas() -> None:
    """A number keeps its sign and all its digits."""
    low = 0.1 + 0.2
    row = the(rows(banded("inside", low=low)), "band_low")
    assert row["value"] == repr(low)


def test_foreign_text() -> None:
    """Commas, quotes and line breaks keep their place in the table, and controls are shown, not sent to a terminal."""
    made = record(model='a,"b"\nc', outcome=Outcome(status="failed", failures=(EVIL,)))
    text = csv_text(run_rows(run(made, source=EVIL)))
    demand_inert(text)
    found = list(csv.DictReader(io.StringIO(text)))
    assert {row["network"] for row in found} == {'a,"b" c'}
    assert all(None not in row and None not in row.values() for row in found)
