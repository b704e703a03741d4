"""A record that contradicts itself is refused by the names of both fields, and no other is."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_benchmark.stats import Stats

from nets.errors import Unusable
from nets.records.cell import Accuracy, Outcome, Result
from nets.records.consistency import demand_consistent
from nets.records.durable import Entry
from nets.records.run_file import parsed_run
from nets.verdicts.bands import band_verdict
from tests.support.commands import runner
from tests.support.gating import content, write
from tests.support.records import one_round, record

REFERENCE = (0.95, 0.955, 0.96, 0.965, 0.97)


def banded(*accuracies: float, loss: float | None = 0.3, **changes: Any) -> Result:
    """A cell whose rounds were so accurate, and its band."""
    rounds = tuple(one_round(seed=i, accuracy=each, loss=loss) for i, each in enumerate(accuracies))
    accuracy = Accuracy.of(accuracies)
    band = band_verdict(accuracy, len(rounds), diverged=loss is None, reference=REFERENCE)
    return record(rounds=rounds, accuracy=accuracy, band=band, band_missing_because=None, **changes)


def timing(result: Result, beside_s: float = 3e-4, *, with_data: bool = True) -> dict[str, Any]:
    """pytest-benchmark's own entry of the cell's test; without `data` as in a file that it stored itself."""
    stats = Stats()
    for round_ in result.rounds:
        stats.update(round_.time_s + beside_s)
    found = {**stats.as_dict(), "iterations": 1} | ({"data": stats.data} if with_data else {})
    return {"fullname": "x", "options": {"timer": "perf_counter"}, "stats": found}


def refusal(result: Result, entry: dict[str, Any] | None = None) -> str:
    """What is said of it."""
    with pytest.raises(
        Unusable, match=r"^a file: field '.*' .*, but field '.*: it contradicts itself, measure"
    ) as raised:
        demand_consistent(result, entry, "a file")
    return str(raised.value)


accuracies = st.lists(st.floats(0, 1), min_size=1, max_size=12)
seconds = st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5)), min_size=1, max_size=12)


@given(accuracies, st.sampled_from([0.3, None]))
def test_every_written_record_is_read(values: list[float], loss: float | None) -> None:
    """What the suite makes of any rounds is read again, with a band or without, passed or failed."""
    failed = Outcome(status="failed", failures=("below its band",))
    for result in (banded(*values, loss=loss), banded(*values, loss=loss, outcome=failed)):
        whole = content(result)
        whole["benchmarks"][0] |= timing(result)
        assert parsed_run(json.loads(json.dumps(whole)), "x").results == (result,)


@given(seconds, st.floats(0, 0.04), st.booleans())
def test_every_timing_is_read(parts: list[tuple[float, float]], beside_s: float, with_data: bool) -> None:
    """Rounds of any length are read with pytest-benchmark's figures around them, with all of its data or without."""
    rounds = tuple(one_round(seed=i, train_s=a, eval_s=b) for i, (a, b) in enumerate(parts))
    demand_consistent(record(rounds=rounds), timing(record(rounds=rounds), beside_s, with_data=with_data), "a file")


@given(accuracies, st.sampled_from(["mean", "std", "min", "max"]), st.sampled_from([-0.2, -1e-6, 1e-6, 0.2]))
def test_an_accuracy_that_its_rounds_do_not_give(values: list[float], field: str, change: float) -> None:
    """Any of the four figures, changed by a millionth or more, is refused with the rounds' own."""
    result = banded(*values)
    assert result.accuracy is not None
    changed = (getattr(result.accuracy, field) or 0.0) + change
    said = refusal(result.replace(accuracy=result.accuracy.replace(**{field: changed})))
    assert said.startswith(f"a file: field 'accuracy.{field}' is {changed:.12g}, but field 'rounds' gives ")


@given(accuracies, st.sampled_from([0.3, None]), st.sampled_from(["inside", "below", "above", "diverged"]))
def test_another_verdict(values: list[float], loss: float | None, verdict: str) -> None:
    """Of the four verdicts of a band the one that its limits and the rounds give is read, and no other."""
    result = banded(*values, loss=loss)
    assert result.band is not None
    changed = result.replace(band=result.band.replace(verdict=verdict))
    if verdict == result.band.verdict:
        demand_consistent(changed, None, "a file")
    else:
        said = refusal(changed)
        assert f"field 'band.verdict' is {verdict!r}" in said
        assert "field 'accuracy.mean'" in said or "field 'rounds'" in said


def test_lowered_rounds() -> None:
    """Rounds that were lowered by 20 points are refused, though accuracy and verdict are the old ones, or one is."""
    good = banded(0.96, 0.961, 0.962)
    lowered = tuple(round_.replace(accuracy=round_.accuracy - 0.2) for round_ in good.rounds)
    assert "field 'accuracy.mean' is 0.961, but field 'rounds' gives 0.761" in refusal(good.replace(rounds=lowered))
    accuracy = Accuracy.of(round_.accuracy for round_ in lowered)
    said = refusal(good.replace(rounds=lowered, accuracy=accuracy))
    assert "field 'band.verdict' is 'inside', but field 'accuracy.mean' is 0.761, below 0.9" in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accuracy": None, "band": None}, "field 'accuracy' is null, but field 'rounds' has 3 of them"),
        ({"rounds": ()}, "field 'accuracy' is there, but field 'rounds' has 0 of them"),
        ({"rounds": (), "accuracy": None}, "field 'band' is there, but field 'accuracy' is null"),
        (
            {"outcome": Outcome(status="passed", failures=("x",))},
            "field 'outcome.status' is 'passed', but field 'outcome.failures' has 1 of them",
        ),
        ({"outcome": Outcome(status="failed")}, "'failed', but field 'outcome.failures' has 0 of them"),
        ({"outcome": Outcome(status="error")}, "'error', but field 'outcome.failures' has 0 of them"),
    ],
)
def test_what_can_not_stand_together(changes: dict[str, Any], message: str) -> None:
    """A figure of no rounds, rounds without a figure, a pass with failures, a failure without: each is refused."""
    assert message in refusal(banded(0.96, 0.961, 0.962).replace(**changes))


def test_a_band_upside_down() -> None:
    """Limits the wrong way round are refused."""
    result = banded(0.96)
    assert result.band is not None
    with pytest.raises(Unusable, match=r"field 'band\.low' is 0\.8.*, above field 'band\.high', 0\.1: it contradicts"):
        demand_consistent(result.replace(band=result.band.replace(high=0.1)), None, "a file")


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=9), st.sampled_from([0.1, 0.8, 1.3, 5.0]))
def test_other_rounds(values: list[float], factor: float) -> None:
    """Stats of rounds that take a fifth less, or more, than those in the record are refused where seconds show it."""
    own = record(rounds=tuple(one_round(seed=i, train_s=value, eval_s=0) for i, value in enumerate(values)))
    others = own.replace(
        rounds=tuple(each.replace(train_s=factor * each.train_s + 0.1 * (factor > 1)) for each in own.rounds)
    )
    is_shown = factor < 1 or all((factor - 1) * value > 0.1 for value in values)
    if is_shown:
        assert "field 'stats.data" in refusal(own, timing(others))


def test_the_figures_of_stats() -> None:
    """Each of pytest-benchmark's figures that its data, or without data the rounds, do not give is refused by name."""
    result = record(rounds=tuple(one_round(seed=i, train_s=1.0 + i, eval_s=0.1) for i in range(3)))
    for with_data, other in ((True, "stats.data"), (False, "rounds")):
        for field in ("min", "max", "mean", "total"):
            entry = timing(result, with_data=with_data)
            entry["stats"][field] -= 0.01
            assert f"field 'stats.{field}' is " in refusal(result, entry)
            assert f"but field '{other}' gives " in refusal(result, entry)
        entry = timing(result, with_data=with_data)
        entry["stats"]["rounds"] = 4
        assert "field 'stats.rounds' has 4 rounds, but field 'rounds' has 3" in refusal(result, entry)
        entry["stats"]["rounds"] = 10**400
        assert "rounds, but field 'rounds' has 3" in refusal(result, entry)
    entry = timing(result)
    del entry["stats"]["data"][0], entry["stats"]["rounds"]
    assert "field 'stats.data' has 2 rounds, but field 'rounds' has 3" in refusal(result, entry)


def test_on_the_limit_of_a_band() -> None:
    """What lies on a limit but for the last digit of a mean may be inside or not; further off it may not."""
    result = banded(0.96)
    assert result.band is not None
    for off, others in ((1e-12, ("inside", "below")), (-1e-12, ("inside", "below")), (1e-6, ("below",))):
        for verdict in others:
            edge = result.band.replace(low=0.96 + off, verdict=verdict)
            demand_consistent(result.replace(band=edge), None, "a file")
    refusal(result.replace(band=result.band.replace(low=0.96 + 1e-6)))


def test_a_process_that_had_to_wait() -> None:
    """Half a second beside one round is a machine's mood; three beside one, or half beside every, are another run's."""
    result = record(rounds=tuple(one_round(seed=i, accuracy=0.9) for i in range(3)))
    entry = timing(result)
    data = [entry["stats"]["data"][0] + 0.5, *entry["stats"]["data"][1:]]
    demand_consistent(result, with_stats(entry, data), "a file")
    assert "field 'stats.data.0' is 5" in refusal(result, with_stats(entry, [data[0] + 2.5, *data[1:]]))
    assert "field 'stats.data' has 2.5" in refusal(result, with_stats(entry, [2.5003] * 3))


def with_stats(entry: dict[str, Any], data: list[float]) -> dict[str, Any]:
    """The entry with other data, and the figures of these."""
    made = {"data": data, "min": min(data), "max": max(data), "mean": fmean(data), "total": sum(data)}
    return {**entry, "stats": {**entry["stats"], **made}}


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"timer": "process_time"}},
        {"options": None},
        {"stats": None},
        {"stats": {"rounds": 1, "iterations": 5, "data": [0.1], "mean": 0.1}},
        {"stats": {"rounds": "one", "iterations": 1, "data": [None], "mean": 10**400, "min": float("nan")}},
    ],
)
def test_what_is_not_ours(change: dict[str, Any]) -> None:
    """Another clock, several iterations a round, and what is no number at all: nothing is held against the rounds."""
    demand_consistent(record(), {**with_stats(timing(record()), [0.5]), **change}, "a file")


@pytest.mark.usefixtures("folder")
def test_as_a_user_sees_it() -> None:
    """`nets gate` and `nets report` end with 2 and a sentence with file and fields; `nets history` passes over it."""
    good = banded(0.96, 0.961, 0.962)
    bad = good.replace(rounds=tuple(round_.replace(accuracy=0.76) for round_ in good.rounds))
    base, head = write("good.json", good), write("bad.json", bad)
    sentence = "bad.json: benchmarks.0: field 'accuracy.mean' is 0.961, but field 'rounds' gives 0.76: it contradicts"
    for command, arguments in (("gate", (base, head)), ("gate", (head, base)), ("report", (head,))):
        result = runner(command)(*arguments)
        assert (result.exit_code, sentence in result.stderr, result.stderr.count("\n")) == (2, True, 1)
    Path("runs").mkdir()
    for name in (base, head):
        Path("runs", name).write_text(json.dumps(json.loads(Path(name).read_text()) | {"datetime": "2026-10-01"}))
    assert f"passed over: runs/{sentence}" in runner("history")("runs").output


def test_a_journal() -> None:
    """A line of a journal that contradicts itself is refused, too: its cell is measured again."""
    result = banded(0.96)
    with pytest.raises(Unusable, match=r"^line 1: field 'accuracy\.mean' is 0\.96, but field 'rounds' gives 0\.9: it"):
        Entry.from_json(Entry("x", result.replace(rounds=(one_round(),)), None).to_json(), "line 1")
