"""What a record says of single images: refused where it contradicts the rounds or itself, and small in a file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nets.errors import Unusable
from nets.records.base import parse
from nets.records.cell import CellFacts, Result
from nets.records.consistency import demand_consistent
from nets.records.durable import Entry, json_text
from nets.records.predictions import Prediction, Predictions
from nets.records.run_file import parsed_run
from tests.support.gating import content
from tests.support.records import one_round, record


def image(place: int, label: int, predicted: int, confidence: float | None = 0.9) -> Prediction:
    """What is said of an image."""
    return Prediction(place=place, label=label, predicted=predicted, confidence=confidence)


GOOD = Predictions(
    seed=1,
    n_classes=2,
    class_names=("cat", "dog"),
    confusion=((3, 1), (2, 4)),
    train=(image(0, 1, 1), image(19, 0, 1, None)),
    test=(image(0, 0, 0), image(1, 1, 1), image(9, 0, 1)),
    mistakes=(image(9, 0, 1), image(5, 1, 0, 0.8), image(3, 1, 0, 0.8)),
)
FACTS = CellFacts(model="lenet5", dataset="folder:pets", n_train=20, n_test=10, data_sha256="0" * 64)
ROUNDS = (one_round(seed=0, accuracy=0.5), one_round(seed=1, accuracy=0.7))


def with_predictions(predictions: Predictions | None = GOOD, **changes: Any) -> Result:
    """A cell of twenty training and ten test images, seven of which the second round's network got right."""
    return record(**{"cell": FACTS, "rounds": ROUNDS, "predictions": predictions, **changes})


def test_what_agrees_is_read() -> None:
    """Predictions that agree with rounds and set are read as they were written: from a file and from a journal."""
    result = with_predictions()
    assert (GOOD.n_right, GOOD.n_tested) == (7, 10)
    assert parsed_run(json.loads(json_text(content(result))), "x").results == (result,)
    assert Entry.from_json(Entry("x", result, None).to_json(), "x").result == result


def test_a_file_of_before() -> None:
    """A record without the fields is read, with neither predictions nor a reason, under the same schema."""
    before = with_predictions(None).to_json()
    del before["predictions"], before["predictions_missing_because"]
    found = parse(before, "a file", Result)
    assert (found.predictions, found.predictions_missing_because, found.schema_) == (None, None, 3)
    demand_consistent(found, None, "a file")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 2}, "field 'predictions.seed' is 2, but field 'rounds' has none with it"),
        (
            {"seed": 0},
            "field 'predictions.confusion' has 7 of 10 right, but field 'rounds' has the accuracy 0.5",
        ),
        (
            {"confusion": ((3, 0), (2, 5))},
            "field 'predictions.confusion' has 8 of 10 right, but field 'rounds' has the accuracy 0.7",
        ),
        ({"confusion": ((3, 1), (2, 5))}, "confusion' counts 11 images, but field 'cell.n_test' is 10"),
        (
            {"confusion": ((7, 0), (3, 0)), "mistakes": ()},
            "test' has 1 images of class 1 taken for 1, but field",
        ),
        ({"confusion": ((2, 2), (1, 5))}, "has 2 images of class 1 taken for 0, but field 'predictions.confusion.1.0'"),
        ({"train": (image(20, 1, 1),)}, "'predictions.train' has the image 20, but field 'cell.n_train' is 20"),
        ({"test": (image(10, 1, 1),)}, "'predictions.test' has the image 10, but field 'cell.n_test' is 10"),
        ({"mistakes": (image(10, 1, 0),)}, "'predictions.mistakes' has the image 10, but field 'cell.n_test' is 10"),
        ({"mistakes": (image(4, 1, 1),)}, "mistakes' has the image 4, but field 'predictions.mistakes.0.predicted' is"),
        ({"mistakes": (image(4, 1, 0, 0.8), image(5, 1, 0))}, "predictions.mistakes' begins with the greatest, but"),
        ({"mistakes": (image(1, 1, 0),)}, "says one thing of the image 1, but field 'predictions.test' another"),
    ],
)
def test_contradictions(changes: dict[str, Any], message: str) -> None:
    """Counts that aren't the round's accuracy, images beyond the set, mistakes that are none: each is refused."""
    with pytest.raises(Unusable, match=r"^a file: field '.*' .*, but field '.*: it contradicts itself") as raised:
        demand_consistent(with_predictions(GOOD.replace(**changes)), None, "a file")
    assert message in str(raised.value)


def test_a_reason_beside() -> None:
    """Predictions with a reason why there are none are refused."""
    with pytest.raises(Unusable, match="'predictions' is there, but field 'predictions_missing_because' is, too"):
        demand_consistent(with_predictions(predictions_missing_because="none"), None, "a file")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confusion": None}, "'confusion' must be either there or null"),
        ({"confusion_missing_because": "too many"}, "'confusion' must be either there or null"),
        ({"confusion": ((1, 2),)}, "'confusion' must have 2 rows of as many counts"),
        ({"confusion": ((1, 2), (1,))}, "'confusion' must have 2 rows of as many counts"),
        ({"confusion": ((8, -1), (1, 2))}, "'confusion' has a negative count"),
        ({"confusion": ((0, 0), (0, 0))}, "'confusion' counts no image"),
        ({"class_names": ("cat",)}, "'class_names' has 1 names for 2 classes"),
        ({"test": (image(0, 2, 0),)}, "'test' has a class beyond the 2"),
        ({"mistakes": (image(0, 0, 2),)}, "'mistakes' has a class beyond the 2"),
        ({"train": 7 * (image(0, 0, 0),)}, "at most 6 items"),
    ],
)
def test_what_is_no_record(changes: dict[str, Any], message: str) -> None:
    """Counts that are no square, names for other classes, classes beyond: no such record is made or read."""
    with pytest.raises(ValidationError, match=message):
        Predictions.model_validate({**dict(GOOD), **changes})


def test_ten_cells_of_a_hundred_classes_are_small() -> None:
    """A file of ten cells, each with the counts of a hundred classes, has less than 2 MB."""
    counts = tuple(tuple(100 if row == column else row % 12 for column in range(100)) for row in range(100))
    large = GOOD.replace(n_classes=100, class_names=tuple(f"a class's name, {i}" for i in range(100)), confusion=counts)
    cells = [with_predictions(large, cell=FACTS.replace(model=f"own{i}")) for i in range(10)]
    assert len(json_text(content(*cells))) < 1_000_000


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NASTY = "[\n    1,\n    2\n]"


@given(plain)
def test_lists_of_numbers_on_a_line(value: object) -> None:
    """Whatever is written is read again as it was, a text that looks like a list included; a list takes one line."""
    assert json.loads(json_text([value, NASTY])) == [value, NASTY]
    assert json_text({"a": [1, -2.5e-7, None], "b": [[1], ["1"]]}).splitlines() == [
        "{", '    "a": [1, -2.5e-07, null],', '    "b": [', "        [1],", "        [", '            "1"', "        ]",
        "    ]", "}",
    ]  # fmt: skip


def test_no_number() -> None:
    """What is not finite is no JSON."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text([float("nan")])
