"""What a record says of single images: the confusion matrix, the article's twelve images, the worst mistakes."""

from __future__ import annotations

from pydantic import Field, model_validator

from nets.records.base import Record

MAX_CLASSES = 100
"""Of more the counts are left out: their number is the square, and a file of ten cells is to stay small."""
N_IMAGES = 6
"""Of the training set, of the test set, and of mistakes, at most."""


class Prediction(Record):
    """What a trained network says of one image.

    `place`: the image's index in its set, in the data set's own order. `label`: its class. `confidence`: the softmax
    probability of the class that was predicted; null where it is not a number.
    """

    place: int = Field(ge=0)
    label: int = Field(ge=0)
    predicted: int = Field(ge=0)
    confidence: float | None = Field(ge=0, le=1)

    @property
    def is_right(self) -> bool:
        """Whether the class that was predicted is the image's."""
        return self.predicted == self.label


class Predictions(Record):
    """What the network that the last round trained says of single images; taken after the rounds, untimed.

    `seed`: that round's. `class_names`: null where the data set has none, or more than `MAX_CLASSES`. `confusion`: of
    the test set, a row for each true class and a column for each predicted one; null where there are too many classes,
    and the reason beside it. `train`, `test`: six images each, the same for every seed and network: the first ones, as
    in the article; of a set that is sorted by class, at even distances. `mistakes`: up to six images of the test set
    that were classified wrongly with the greatest confidence, the greatest first.
    """

    seed: int = Field(ge=0)
    n_classes: int = Field(ge=1)
    class_names: tuple[str, ...] | None
    confusion: tuple[tuple[int, ...], ...] | None
    confusion_missing_because: str | None = None
    train: tuple[Prediction, ...] = Field(max_length=N_IMAGES)
    test: tuple[Prediction, ...] = Field(max_length=N_IMAGES)
    mistakes: tuple[Prediction, ...] = Field(max_length=N_IMAGES)

    @model_validator(mode="after")
    def _is_of_its_classes(self) -> Predictions:
        if (self.confusion is None) != (self.confusion_missing_because is not None):
            raise ValueError("'confusion' must be either there or null with 'confusion_missing_because'")
        if self.class_names is not None and len(self.class_names) != self.n_classes:
            raise ValueError(f"'class_names' has {len(self.class_names)} names for {self.n_classes} classes")
        if self.confusion is not None:
            if {len(self.confusion), *map(len, self.confusion)} != {self.n_classes}:
                raise ValueError(f"'confusion' must have {self.n_classes} rows of as many counts")
            if min(map(min, self.confusion)) < 0:
                raise ValueError("'confusion' has a negative count")
            if not any(map(any, self.confusion)):
                raise ValueError("'confusion' counts no image")
        for name in ("train", "test", "mistakes"):
            if any(max(each.label, each.predicted) >= self.n_classes for each in getattr(self, name)):
                raise ValueError(f"{name!r} has a class beyond the {self.n_classes} that there are")
        return self

    @property
    def n_tested(self) -> int | None:
        """The images that `confusion` counts; None without it."""
        return None if self.confusion is None else sum(map(sum, self.confusion))

    @property
    def n_right(self) -> int | None:
        """Those of them that were classified correctly."""
        return None if self.confusion is None else sum(self.confusion[label][label] for label in range(self.n_classes))
