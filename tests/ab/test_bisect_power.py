"""What docs/gate.md says of live bisections is what their file says."""

from __future__ import annotations

import json
import math

from studies.bisect_power import N_COMMITS, summary

from tests.support.suite import REPOSITORY

TRIES = [json.loads(line) for line in (REPOSITORY / "studies" / "data" / "bisect.jsonl").read_text().splitlines()]


def test_the_page_has_the_files_figures() -> None:
    """The sentence on all tries stands in the page, to the letter."""
    assert summary(TRIES).capitalize() in (REPOSITORY / "docs" / "gate.md").read_text(encoding="utf-8")


def test_halved() -> None:
    """Each bisection compared the bad commit, and then no more than halving its commits takes."""
    assert max(len(each["steps"]) for each in TRIES) <= 1 + math.ceil(math.log2(N_COMMITS))


def test_another_commit_is_not_found() -> None:
    """A try that names a commit beside the guilty one, or none, counts as not found."""
    one = TRIES[0]
    tries = [one, {**one, "found": one["guilty"] - 1}, {**one, "found": None}]
    assert summary(tries).startswith("found: 1 of 3: ")
