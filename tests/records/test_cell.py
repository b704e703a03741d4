"""The record: its schema, and what is refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nets.errors import Unusable
from nets.records.base import finite, parse
from nets.records.cell import Accuracy, Result, json_schema
from nets.records.run_file import read_run
from tests.support.records import one_round, record
from tests.support.suite import REPOSITORY


def test_the_shipped_schema_is_the_record_s() -> None:
    """record.schema.json says what the code does, and is itself a valid schema."""
    shipped = json.loads((REPOSITORY / "src" / "nets" / "records" / "record.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(shipped)
    assert shipped == json_schema()


def test_there_and_back() -> None:
    """A record written and read is the same record, and fits the schema."""
    result = record(rounds=(one_round(loss=None), one_round(seed=1)))
    jsonschema.validate(result.to_json(), json_schema())
    assert parse(json.loads(json.dumps(result.to_json())), "a file", Result) == result


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("rounds", 0, "seed"), "three", r"rounds\.0\.seed"),
        (("rounds", 0, "train_s"), -1.0, r"rounds\.0\.train_s"),
        (("accuracy", "mean"), None, r"accuracy\.mean"),
        (("pipeline",), "fast", "pipeline"),
        (("outcome", "status"), "fine", r"outcome\.status"),
        (("surprise",), 1, "surprise"),
    ],
)
def test_a_wrong_field_is_named(path: tuple[str | int, ...], value: object, field: str) -> None:
    """A record with a wrong, missing or unknown field is refused, and the field is named."""
    broken: Any = record().to_json()
    inner = broken
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(Unusable, match=rf"^a file: field '{field}': "):
        parse(broken, "a file", Result)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (None, "no field 'schema'"),
        ({"schema": 1}, "field 'schema' is 1; this version of nets reads 3: measure it again"),
        ([], "no field"),
    ],
)
def test_another_schema_is_refused(broken: object, message: str) -> None:
    """What is no record, or of another schema, is refused by name."""
    with pytest.raises(Unusable, match=message):
        parse(broken, "a file", Result)


def test_not_a_number_is_no_record() -> None:
    """NaN can't be put into a record; a loss that is not finite is None."""
    with pytest.raises(ValidationError, match="finite"):
        one_round(train_s=math.nan)
    assert finite(math.inf) is finite(math.nan) is None
    assert finite(0.5) == 0.5
    assert one_round(loss=None).diverged
    assert one_round(train_loss=(0.5, None)).diverged
    assert not one_round().diverged


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_accuracy_summary(values: list[float]) -> None:
    """The mean lies between the extremes, and one value has no spread."""
    accuracy = Accuracy.of(values)
    assert accuracy.min - 1e-12 <= accuracy.mean <= accuracy.max + 1e-12
    assert (accuracy.std is None) == (len(values) == 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[1, 2]", "it has no list 'benchmarks'"),
        ('{"benchmarks": []}', "written by pytest-benchmark, but not by nets"),
        ('{"benchmarks": [], "nets": {"unfinished": 3}}', r"field 'nets\.unfinished'"),
        (
            '{"benchmarks": [], "machine_info": {"nets": {}}, "nets": {"unfinished": [{}]}}',
            r"nets\.unfinished\.0: not a record of nets",
        ),
        ('{"benchmarks": [], "nets": {"not_run": ["x"]}}', r"field 'nets\.not_run\.0'"),
        ("[" * 100_000, "not JSON"),
        ('{"benchmarks": [NaN], "nets": {}}', "field 'machine_info': Field required"),
        (
            '{"benchmarks": [{"extra_info": {"schema": 9}}], "machine_info": {"nets": {}}, "nets": {}}',
            "field 'schema' is 9",
        ),
        ("\x00\xff", "not JSON"),
    ],
)
def test_files_that_are_no_run(tmp_path: Path, text: str, message: str) -> None:
    """A file that isn't a run's is refused in one sentence that names it."""
    path = tmp_path / "run.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(Unusable, match=message) as raised:
        read_run(path)
    assert str(path) in str(raised.value)


def test_no_file(tmp_path: Path) -> None:
    """A missing file is refused by name."""
    with pytest.raises(Unusable, match="No such file"):
        read_run(tmp_path / "none.json")
