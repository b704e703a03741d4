"""Where a session's time goes: the parts, and that they add up."""

from __future__ import annotations

import pytest

from nets.plugin.session import Ledger
from nets.records.run import Harness
from nets.records.run_file import read_run
from tests.support.records import one_round, record
from tests.support.suite import Suite


def test_the_parts_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds are timed, their set-up is a part, and what no part has is the rest."""
    ages = iter([2.0, 10.0])
    monkeypatch.setattr("nets.plugin.session._process_age_s", lambda: next(ages))
    ledger = Ledger()
    ledger.tests_start()
    ledger.add("data", 1.5)
    ledger.count_rounds(record(rounds=(one_round(), one_round(1))))  # each 2 s, set up in 0.1
    found = ledger.summary()
    assert (found.wall_s, found.timed_s, found.import_s, found.data_s) == (10.0, 4.0, 2.0, 1.5)
    assert found.setup_s == pytest.approx(0.2)
    assert found.other_s == pytest.approx(10.0 - 4.0 - 2.0 - 1.5 - 0.2)
    assert str(found) == (
        "harness: 6.0 s of 10.0 s of wall time (60.0%) lie outside the timed regions: "
        "import 2.0, data 1.5, set-up 0.2, soak 0.0, trace 0.0, other 2.3"
    )


def test_a_block_that_raises_counts() -> None:
    """Time is spent on what fails, too."""
    ledger = Ledger()
    with pytest.raises(ZeroDivisionError), ledger.spent("trace"):
        raise ZeroDivisionError
    assert ledger.summary().trace_s > 0


def test_of_a_session(suite: Suite) -> None:
    """The terminal's line and the file say the same, the timed part is the records' rounds, and no part is negative."""
    result = suite.run("--cells", "digits-snn500", "--rounds", "2", "--keep-traces", "traces")
    found = read_run(suite.out)
    assert isinstance(found.harness, Harness)
    result.stdout.fnmatch_lines([str(found.harness).replace("[", "[[]")])
    rounds = found.results[0].rounds
    assert found.harness.timed_s == pytest.approx(sum(round_.time_s for round_ in rounds))
    assert found.harness.setup_s == pytest.approx(sum(round_.setup_s for round_ in rounds))
    for part in ("import_s", "data_s", "trace_s", "other_s"):
        assert getattr(found.harness, part) > 0
    assert found.harness.wall_s > found.harness.cost_s > found.harness.import_s
