"""The gate's verdict in one sentence."""

from __future__ import annotations

import pytest

from nets.gate.findings import CONFIRMED, DIVERGED, ComparedRun, Finding, Gate, exit_code
from nets.gate.limits import Limits
from nets.report.sentence import sentence

BASE = ComparedRun(
    source="base.json", n_cells=1, torch="2.15", cuda=None, cudnn=None, python=None, devices=("cpu: AMD EPYC",),
    commit="0123456789abcdef", subject="Before",
)  # fmt: skip
HEAD = BASE.replace(commit="fedcba9876543210", subject="Slower \x1b[31mloss", dirty=True)
SLOWER = Finding(
    cell="a", metric="total_s", status="regressed", effect=0.123, low=0.109, high=0.138, confidence=0.95, p=0.01,
    because=f"{CONFIRMED}: 8 sittings",
)  # fmt: skip


def said(*findings: Finding, paired: bool = True, base: ComparedRun = BASE, head: ComparedRun = HEAD) -> str:
    """The sentence on these findings."""
    code = exit_code({finding.status for finding in findings})
    return sentence(
        Gate(exit_code=code, base=base, head=head, paired=paired, limits=Limits(), notes=(), findings=findings)
    )


def test_what_by_how_much_how_sure_where_since_when() -> None:
    """All of it is in it, and nothing that a terminal would obey."""
    assert said(SLOWER) == (
        "a is 12.3 % slower (+10.9 % to +13.8 % with 95 % confidence, measured twice) at fedcba987654 "
        "(Slower �[31mloss), with uncommitted changes, against base at 0123456789ab (Before); measured in turns on "
        "cpu: AMD EPYC."
    )


@pytest.mark.parametrize(
    ("metric", "effect", "phrase"),
    [
        ("accuracy", -0.02, "a is 2.00 points less accurate"),
        ("eval_s", 0.5, "a evaluates 50.0 % slower"),
        ("rss_peak_bytes", 0.4, "a takes 40.0 % more of the host's memory"),
    ],
)
def test_each_metric_in_its_words(metric: str, effect: float, phrase: str) -> None:
    """A change is told as one says it of a network."""
    found = SLOWER.replace(metric=metric, effect=effect, low=None, high=None, because=None)
    assert said(found, paired=False).startswith(f"{phrase} at ")


def test_what_was_measured_once_is_not_told_as_twice() -> None:
    """A loss that is not finite needs no second measurement, and praise after Ctrl-C had none."""
    diverged = SLOWER.replace(metric="accuracy", effect=-0.8, low=None, high=None, because=f"{DIVERGED}in 1 of 3")
    assert said(diverged).startswith("a is 80.00 points less accurate at ")
    faster = SLOWER.replace(status="improved", effect=-0.2, low=None, high=None, because="8 sittings")
    assert "; a is 20.0 % faster (measured once) at " in said(faster)


def test_several() -> None:
    """Three are named, and how many more there are; what has no effect gives its reason."""
    missing = Finding(cell="m", metric="cell", status="missing", because="in base, not in head")
    text = said(*(SLOWER.replace(cell=name) for name in "abcd"), missing)
    assert text.count("slower") == 3
    assert "; and 2 more at" in text
    assert said(missing).startswith("m cell missing (in base, not in head) at")


def test_what_cannot_be_told() -> None:
    """It is named with the kind of doubt."""
    text = said(SLOWER.replace(status="not enough data"))
    assert text.startswith("It can't be told of a total_s (not enough data) at fedcba987654")


def test_nothing_regressed() -> None:
    """The number of cells, the range of their effects, and what improved; of two stored files how wide the limit is."""
    fine = SLOWER.replace(status="ok", effect=0.004)
    better = SLOWER.replace(cell="b", status="improved", effect=-0.2, low=-0.21, high=-0.19)
    assert said(fine).startswith("Nothing regressed in one cell, total time +0.4 % at")
    assert said(fine, better).startswith(
        "Nothing regressed in 2 cells, total time -20.0 % to +0.4 %; b is 20.0 % faster"
    )
    assert said(fine, paired=False).startswith("Nothing regressed by more than 30 % of time in one cell")


def test_files_of_no_commit() -> None:
    """Where no commit is known none is named."""
    nobody = BASE.replace(commit=None, subject=None, devices=())
    assert said(SLOWER, base=nobody, head=nobody).endswith("measured twice), against base; measured in turns.")
