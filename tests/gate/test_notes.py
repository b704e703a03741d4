"""What the gate says beside its findings: what differs between the sides, and what two stored files can't tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from nets.errors import Unusable
from nets.gate.findings import Gate
from nets.records.base import parse
from nets.records.cell import Result
from nets.records.run import CommitInfo, Pairing, Run
from nets.records.run_file import parsed_run
from nets.records.versions import MAX_NAMES, flat
from tests.support.gating import PAIRING, VERSIONS, content, judged, paired, run, the, timed
from tests.support.records import EXECUTION, record

MEASURED = (
    "network",
    "rounds",
    "accuracy",
    "band",
    "gpu",
    "trace",
    "cpu",
    "depth",
    "outcome",
    "schema",
    "kind",
    "predictions",
)
OTHERS = {"pipeline": "article", "protocol.name": "article", "device.type": "cuda"}
"""What else may stand in a field that takes a few words alone."""


def settings() -> list[str]:
    """Every field of a record that is a setting."""
    names = [name for name, _ in flat(record().to_json())]
    return [name for name in names if not name.startswith(MEASURED) and name != "where.worker"]


def others(name: str) -> Iterator[Result]:
    """The record with another value in a field, of whichever type the field takes."""
    was = dict(flat(record().to_json()))[name]
    for value in [OTHERS[name]] if name in OTHERS else ["other", 0.5, 7, True]:
        whole = json.loads(json.dumps(record().to_json()))
        *path, last = name.split(".")
        place: Any = whole
        for key in path:
            place = place[key]
        place[last] = value
        try:
            if str(value) != was:
                yield parse(whole, "x", Result)
        except Unusable:
            continue


@pytest.mark.parametrize("name", [name for name in settings() if name != "protocol.optimizer"])
def test_every_setting_is_named(name: str) -> None:
    """Whatever field of a record differs: its two values are in a note, or in the sentence that forbids to compare."""
    if name in ("cell.model", "cell.dataset"):
        return  # another cell
    head = next(others(name))
    found = judged(record(), head)
    was, is_ = (dict(flat(result.to_json()))[name] for result in (record(), head))
    told = [*found.notes, *(str(finding.because) for finding in found.with_status("incomparable"))]
    (sentence,) = [each for each in told if "another" in each and "unpaired" not in each]
    values = ("a CPU,", "a CPU (MIG)") if name == "device.mig" else ("none" if was is None else was, str(is_))
    assert all(value in sentence for value in values)
    assert found.exit_code == (0 if "forbids no comparison" in sentence else 3)


def test_what_only_chance_decides() -> None:
    """Which worker took a cell is no difference, nor is what was measured."""
    head = record(where=record().where.replace(worker="gw1"), trace_missing_because="--no-trace")
    assert not differences(judged(record(), head))


def differences(found: Gate) -> list[str]:
    """The notes on what differs."""
    return [note for note in found.notes if note.startswith("another")]


def test_every_version_is_named() -> None:
    """Each version and fact of the machine in the files, whatever its name, is told if it differs; unknown is none."""

    def of(numpy: str | None, **more: Any) -> Run:
        whole = content(record())
        info = whole["machine_info"]
        info |= {"node": "n", "release": "6.1", "python_version": "3", "cpu": {"hz_actual": [1]}} | more
        info["nets"]["versions"] |= {"numpy": numpy, "torchvision": "0.27", "nets": "1"}
        info["nets"] |= {"cores": 2, "device": {"uuid": "u"}}
        return parsed_run(whole, "x")

    assert not differences(judged(of("2.1"), of("2.1", node="m", python_version="4", cpu={"hz_actual": [2]})))
    other = of("2.2", release="6.2", libc=["glibc", "2.36"])
    assert differences(judged(of("2.1"), other)) == [
        "another numpy, which forbids no comparison: base 2.1, head 2.2",
        "another machine_info.release, which forbids no comparison: base 6.1, head 6.2",
    ]
    (said,) = differences(judged(of("2.1"), of(None)))
    assert said.endswith("base 2.1, head none")


def test_a_damaged_file_of_many_names() -> None:
    """However many versions a file names, a hundred are kept."""
    whole = content(record())
    whole["machine_info"]["nets"]["versions"] |= {f"v{i}": "1" for i in range(1_000)}
    assert len(parsed_run(whole, "x").versions.others) == MAX_NAMES


def test_cells_are_named_where_a_setting_differs_in_some() -> None:
    """A setting that differs in all cells is one sentence; in some, these are named, ten at most; forbidden or not."""
    contiguous = EXECUTION.replace(memory_format="contiguous")
    models = [f"m{i:02}" for i in range(12)]
    base = [record(model=model) for model in (*models, "other")]
    head = [record(model=model, execution=contiguous) for model in models]
    (all_of_them,) = differences(judged(run(*base[:-1]), run(*head)))
    assert all_of_them == (
        "another execution.memory_format, which forbids no comparison: base channels_last, head contiguous"
    )
    (some,) = differences(judged(run(*base), run(*head, base[-1])))
    assert some == f"{all_of_them} (in {', '.join(f'mnist-{model}' for model in models[:10])} and 2 more)"
    (still,) = differences(judged(run(*base[:-1]), run(*head, versions=replace(VERSIONS, torch="1"))))
    assert still == all_of_them


def test_what_is_allowed_to_differ_is_named() -> None:
    """What is compared across on purpose is in a note with both values, whatever came of it; some cells by name."""
    two = record(execution=EXECUTION.replace(threads=2))
    found = judged(record(), two, allow=("threads",))
    said = "compared on purpose across another threads: base 1 (passive), head 2 (passive)"
    assert found.exit_code == 0
    assert said in found.notes
    same = record(model="same")
    assert f"{said} (in mnist-lenet5)" in judged(run(record(), same), run(two, same), allow=("threads",)).notes


@pytest.mark.parametrize(
    ("head", "direction"),
    [
        (([2.2, 2.21, 2.19],), "slower"),
        (([1.8, 1.81, 1.79],), "faster"),
        (([2.2, 2.21, 2.19], [1.8, 1.81, 1.79]), "slower or faster"),
        (([2.2, 2.21, 2.19], [2.0, 2.01, 1.99]), None),
        (([2.2],), None),
    ],
)
def test_what_two_files_hint_at(head: tuple[list[float], ...], direction: str | None) -> None:
    """Where every interval of a total time excludes 0 a note says so, and names `nets ab`, though the limit is wide."""
    same = [2.0, 2.01, 1.99]
    sides = (run(*(timed(s, model=f"m{i}") for i, s in enumerate(side))) for side in ([same] * len(head), head))
    found = judged(*sides)
    hints = [note for note in found.notes if "every interval" in note]
    assert len(hints) == (direction is not None)
    if direction is not None:
        assert f"excludes 0: head is {direction}, by more than chance" in hints[0]
        assert "`nets ab BASE HEAD` measures both in turns" in hints[0]
        assert found.exit_code == 0


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({}, f"`nets ab {12 * 'a'} {12 * 'b'}`"),
        ({"dirty": True}, "`nets ab BASE HEAD`"),
        ({"id": 40 * "a"}, "`nets ab BASE HEAD`"),
        ({"id": "--help me of mine"}, "`nets ab BASE HEAD`"),
    ],
)
def test_the_command_to_run(changes: dict[str, Any], command: str) -> None:
    """The command names both commits where they are known, two, and without changes; no other text of a file."""
    base = run(timed([2.0, 2.01, 1.99]), commit=CommitInfo(id=40 * "a"))
    head = run(timed([2.2, 2.21, 2.19]), commit=CommitInfo(**{"id": 40 * "b", **changes}))
    assert any(command in note for note in judged(base, head).notes)


def test_measured_in_turns_there_is_no_hint() -> None:
    """Of files that were measured in turns the test decides, and nothing sends to `nets ab`."""
    found = paired([timed([2.0] * 8)], [timed([2.2] * 8)])
    assert not any("nets ab" in note for note in found.notes)


@pytest.mark.parametrize("other", [None, Pairing(id="b", rounds=3, looks=2)])
def test_a_file_of_nets_ab_compares_with_any_other(other: Pairing | None) -> None:
    """One side of `nets ab` has the same threads as a plain run, or as a side of another `nets ab`."""
    of_ab, plain = run(record(), pairing=PAIRING), run(record(), pairing=other)
    for found in (judged(of_ab, plain), judged(plain, of_ab)):
        assert found.exit_code == 0
        assert the(found, "total_s").status == "ok"


def test_wait_policies() -> None:
    """Another wait policy forbids to compare two files, from `nets ab` or not; of its two sides it is a note."""
    active = record(execution=EXECUTION.replace(wait_policy="active"))
    for pairing in (None, PAIRING):
        found = judged(run(record(), pairing=pairing), run(active))
        assert "another threads: base 1 (passive), head 1 (active)" in str(the(found, "cell").because)
        assert not differences(found)
    found = paired([record()], [active])
    assert not found.with_status("incomparable")
    assert differences(found) == [
        "another execution.wait_policy, which forbids no comparison: base passive, head active"
    ]
