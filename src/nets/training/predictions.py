"""What the last round's trained network says of single images: taken after the rounds, by one more evaluation.

It is asked in batches of the rounds' own sizes, of evaluation and of training, so that it answers as it did there, and
neither its kernels nor its results need memory of the device that the rounds didn't: a soak comes after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice

import torch
from torch import Tensor, nn

from nets.errors import NetsError
from nets.records.base import finite
from nets.records.predictions import MAX_CLASSES, N_IMAGES, Prediction, Predictions
from nets.training.run import CellRun
from nets.training.trainer import ResidentBatches


class NotAsInItsRound(NetsError):
    """A network that answers otherwise when it is evaluated again."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Of images in their order, on the host: the class that was predicted (N,), int64, and its softmax probability."""

    predicted: Tensor
    confidence: Tensor


def predictions_of(run: CellRun) -> tuple[Predictions | None, str | None]:
    """What the last round's network says of single images, or why that is not known.

    To be taken before the network is trained further. No failure is raised, which would lose the finished rounds.
    """
    if not run.has_trained:
        return None, "no network of a round is left"
    if len(run.rounds) > run.protocol.rounds:
        return None, "the last network is of a round for a profiler, which is none of the record's"
    try:
        return _predictions(run), None
    except NotAsInItsRound as error:
        return None, str(error)
    except Exception as error:  # of many kinds
        because = str(error).partition("\n")[0] or type(error).__name__
        return None, f"evaluating the network once more failed: {because:.500}"


def _predictions(run: CellRun) -> Predictions:
    data, last = run.data, run.rounds[-1]
    train_places, test_places = (_places(split.labels) for split in (data.train, data.test))
    with run.trained() as trainer, torch.no_grad():
        trainer.model.eval()
        tested = _answers(trainer.model, _test_images(run))
        trained = _answers(trainer.model, _train_images(run, train_places))
    n_right = int((tested.predicted == data.test.labels).sum())
    if n_right != round(last.accuracy * len(data.test)):
        raise NotAsInItsRound(
            f"evaluated once more, the network of seed {last.seed} classifies {n_right:,} of {len(data.test):,} test "
            f"images correctly, and in its round {round(last.accuracy * len(data.test)):,}: it is not always the same"
        )
    mistakes = _mistakes(data.test.labels, tested)
    has_few_classes = data.n_classes <= MAX_CLASSES
    return Predictions(
        seed=last.seed,
        n_classes=data.n_classes,
        class_names=data.class_names if has_few_classes else None,
        confusion=_confusion(data.test.labels, tested.predicted, data.n_classes) if has_few_classes else None,
        confusion_missing_because=None if has_few_classes else f"it has {data.n_classes:,} classes, over {MAX_CLASSES}",
        train=_listed(train_places, data.train.labels, trained, offsets=range(len(train_places))),
        test=_listed(test_places, data.test.labels, tested, offsets=test_places),
        mistakes=_listed(mistakes, data.test.labels, tested, offsets=mistakes),
    )


def _places(labels: Tensor) -> list[int]:
    """The images to show: the first ones; of a set that is sorted by class, which these would show one of, some of all.

    A set of fewer is shown whole.
    """
    n, n_shown = len(labels), min(N_IMAGES, len(labels))
    is_sorted = bool((labels[1:] >= labels[:-1]).all())
    return [i * n // n_shown if is_sorted else i for i in range(n_shown)]


def _test_images(run: CellRun) -> Iterator[Tensor]:
    """The test set on the device, in the batches of the rounds' evaluations.

    The article's loader would transform image by image, in processes of its own: the same values come from the set as
    it was loaded.
    """
    batches = run.loaders.test
    if isinstance(batches, ResidentBatches):
        yield from (images for images, _ in batches)
        return
    size = run.pipeline.evaluation_batch(run.protocol.batch_size, run.device.type)
    for images in run.data.test.images.split(size):
        yield _on_device(run, images)


def _train_images(run: CellRun, places: list[int]) -> Iterator[Tensor]:
    """Some of the training images, and these again, up to whole batches of the size that was trained."""
    size = min(run.protocol.batch_size, len(run.data.train))
    n = -(-len(places) // size) * size
    for chosen in run.data.train.images[list(islice(cycle(places), n))].split(size):
        yield _on_device(run, chosen)


def _on_device(run: CellRun, images: Tensor) -> Tensor:
    """Images of the set (N, C, H, W) as the pipeline hands them to the network."""
    scaled = run.data.scaled(images, run.device)
    is_channels_last = run.pipeline.memory_format == "channels_last" and images.shape[1] > 1
    return scaled.contiguous(memory_format=torch.channels_last) if is_channels_last else scaled


def _answers(model: nn.Module, batches: Iterable[Tensor]) -> Answers:
    predicted, confidence = [], []
    for images in batches:
        outputs = model(images)
        chosen = outputs.argmax(1).cpu()  # of the outputs, and on the device, as the rounds count
        predicted.append(chosen)
        confidence.append(outputs.cpu().float().softmax(1).gather(1, chosen[:, None])[:, 0].clamp(max=1))
    return Answers(torch.cat(predicted), torch.cat(confidence))


def _confusion(labels: Tensor, predicted: Tensor, n_classes: int) -> tuple[tuple[int, ...], ...]:
    """Counts of images, a row for each true class, a column for each predicted one."""
    counts = torch.bincount(labels * n_classes + predicted, minlength=n_classes**2)
    return tuple(map(tuple, counts.reshape(n_classes, n_classes).tolist()))


def _mistakes(labels: Tensor, answers: Answers) -> list[int]:
    """The places of the most confident mistakes, the first of equals first; a confidence that is no number is none."""
    wrong = ((answers.predicted != labels) & answers.confidence.isfinite()).nonzero()[:, 0]
    order = answers.confidence[wrong].argsort(descending=True, stable=True)
    places: list[int] = wrong[order[:N_IMAGES]].tolist()
    return places


def _listed(
    places: Iterable[int], labels: Tensor, answers: Answers, *, offsets: Iterable[int]
) -> tuple[Prediction, ...]:
    """The images at `places` of a set, and what was answered of each, which stands at its of `offsets`."""
    return tuple(
        Prediction(
            place=place,
            label=int(labels[place]),
            predicted=int(answers.predicted[offset]),
            confidence=finite(float(answers.confidence[offset])),
        )
        for place, offset in zip(places, offsets, strict=True)
    )
