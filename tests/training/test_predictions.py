"""What the last round's network says of single images: right, in the data set's own order, and without a trace."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.cells.catalog import CELLS, Cell, protocol_for
from nets.datasets.data import Data, Split, embedded
from nets.datasets.load import load_data
from nets.gpu import capture
from nets.records.predictions import Prediction, Predictions
from nets.training import predictions
from nets.training.pipelines import PIPELINES
from nets.training.predictions import predictions_of
from nets.training.run import CellRun
from tests.support.rounds import results

CPU = torch.device("cpu")
IDS = ("digits-snn500", "shapes-lenet5")


def part_of(name: str, n_train: int = 300, n_test: int = 130) -> Data:
    """The first images of an embedded data set."""
    whole = load_data(name, Path())
    train, test = (
        Split(split.images[:n], split.labels[:n]) for split, n in ((whole.train, n_train), (whole.test, n_test))
    )
    assert whole.class_names is not None
    return embedded(name, train, test, class_names=whole.class_names, centred=whole.centred)


def run_of(
    cell: str | Cell, pipeline: str = "resident", *, data: Data | None = None, seed: int = 0, batch_size: int = 20
) -> CellRun:
    """A run of an epoch a round, on few images."""
    cell = next(each for each in CELLS if each.id == cell) if isinstance(cell, str) else cell
    data = data or part_of(cell.dataset)
    protocol = protocol_for("quick", cell.dataset).changed(epochs=1, batch_size=batch_size)
    protocol = protocol.repeated(rounds=2, seed=seed)
    way = PIPELINES[pipeline]
    return CellRun(cell, protocol, way, data, way.loaders(data, protocol, CPU), CPU)


def with_a_round(run: CellRun, n: int = 1) -> CellRun:
    """The same run, some rounds later, its last network still there."""
    for _ in range(n):
        run.setup()
        run.timed()
        run.teardown()
    return run


def found_in(run: CellRun) -> Predictions:
    """What is said of the images, which must be known."""
    found, because = predictions_of(run)
    assert (found is not None, because) == (True, None)
    assert found is not None
    return found


def one_by_one(run: CellRun, training: bool) -> list[Prediction]:
    """What the network says of every image of a set, each by itself and through the article's transform."""
    said = []
    with run.trained() as trainer, torch.no_grad():
        trainer.model.eval()
        dataset = run.data.per_image(training)
        for place in range(len(run.data.train if training else run.data.test)):
            image, label = dataset[place]
            probabilities = F.softmax(trainer.model(image[None])[0], dim=0)
            confidence, predicted = probabilities.max(0)
            said.append(
                Prediction(place=place, label=label, predicted=int(predicted), confidence=min(1.0, float(confidence)))
            )
    return said


def same(found: tuple[Prediction, ...], expected: list[Prediction]) -> bool:
    """Whether the images and classes are the same, and the confidences to what the size of a batch changes."""
    return [each.replace(confidence=pytest.approx(each.confidence, abs=1e-4)) for each in expected] == list(found)


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("cell", IDS)
def test_as_image_by_image(cell: str, pipeline: str) -> None:
    """Counts, the twelve images and the mistakes are those of a loop over single images in the data set's own order."""
    run = with_a_round(run_of(cell, pipeline), 2)
    found, test, train = found_in(run), one_by_one(run, False), one_by_one(run, True)
    counts = [[0] * 10 for _ in range(10)]
    for each in test:
        counts[each.label][each.predicted] += 1
    assert found.confusion == tuple(map(tuple, counts))
    assert (found.seed, found.n_classes, found.class_names) == (1, 10, run.data.class_names)
    assert same(found.train, train[:6])
    assert same(found.test, test[:6])
    wrong = sorted((each for each in test if not each.is_right), key=lambda each: -(each.confidence or 0))
    assert len(wrong) > 6
    assert same(found.mistakes, wrong[:6])


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_counts_are_the_round_s(pipeline: str) -> None:
    """The images on the diagonal are as many as the last round's accuracy says, of all test images, to the last bit."""
    run = with_a_round(run_of("digits-snn500", pipeline), 2)
    found = found_in(run)
    assert found.n_tested == len(run.data.test)
    assert found.n_right is not None
    assert found.n_right / found.n_tested == run.rounds[-1].accuracy


def test_the_images_are_the_same_for_every_seed() -> None:
    """Which images are shown depends neither on the seed nor on the network."""
    found = [found_in(with_a_round(run_of(cell, seed=seed))) for cell, seed in zip(IDS, (0, 7), strict=True)]
    assert [[each.place for each in of] for one in found for of in (one.train, one.test)] == 4 * [[0, 1, 2, 3, 4, 5]]


def test_of_a_set_that_is_sorted() -> None:
    """Of a set that is sorted by class, as a folder's is, the images lie at even distances, not all of one class."""
    whole = part_of("digits")
    order = whole.train.labels.argsort(stable=True)
    data = replace(whole, train=Split(whole.train.images[order], whole.train.labels[order]))
    found = found_in(with_a_round(run_of("digits-snn500", data=data)))
    assert [each.place for each in found.train] == [0, 50, 100, 150, 200, 250]
    assert len({each.label for each in found.train}) == 6
    assert predictions._places(torch.tensor([3, 1, 2])) == [0, 1, 2]


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("cell", IDS)
def test_nothing_shows_that_it_was_asked(cell: str, pipeline: str) -> None:
    """Weights, random numbers, CPU seconds and the following rounds are to the last bit what they are without."""
    plain, asked = (with_a_round(run_of(cell, pipeline)) for _ in range(2))
    state, cpu = torch.get_rng_state(), asked.cpu().core_s
    with asked.trained() as trainer:
        weights = [each.clone() for each in trainer.model.state_dict().values()]
    found_in(asked)
    with asked.trained() as trainer:
        assert all(map(torch.equal, weights, trainer.model.state_dict().values()))
    assert torch.equal(torch.get_rng_state(), state)
    assert asked.cpu().core_s == cpu
    for run in (plain, asked):
        with_a_round(run)
    assert [results(each) for each in asked.rounds] == [results(each) for each in plain.rounds]


def test_before_the_soak() -> None:
    """The network is asked before a soak trains it further, and the soak can go on from there."""
    run = with_a_round(run_of("digits-snn500"))
    before = found_in(run)
    captured = capture.capture(run, None, no_gpu_because="on a CPU")
    assert (captured.predictions, captured.predictions_missing_because) == (before, None)
    assert capture.soak(run, nullcontext(lambda: False), seconds=0.05) > 0
    assert predictions_of(run)[1] is not None  # it is the round's no longer


def test_where_none_are_wanted() -> None:
    """A reason not to ask the network is kept in the place of what it would say."""
    captured = capture.capture(
        with_a_round(run_of("digits-snn500")), None, no_gpu_because="on a CPU", no_predictions_because="not wanted"
    )
    assert (captured.predictions, captured.predictions_missing_because) == (None, "not wanted")


class Network(nn.Module):
    """A layer, and what is done to its outputs."""

    def __init__(self, change: Callable[[Tensor], Tensor], n_classes: int = 10) -> None:
        super().__init__()
        self.out = nn.Linear(784, n_classes)
        self.change = change

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 1, 28, 28) to logits (N, classes)."""
        return self.change(self.out(images.flatten(1)))


def own(change: Callable[[Tensor], Tensor], n_classes: int = 10) -> Cell:
    """A cell of such a network."""
    return Cell("digits", "own", build=lambda: Network(change, n_classes))


def test_a_network_that_diverged() -> None:
    """Of outputs that are not numbers the first class is what counts as predicted; no confidence, no listed mistake."""
    run = with_a_round(run_of(own(lambda outputs: outputs * torch.nan)))
    assert run.rounds[-1].diverged
    found = found_in(run)
    assert found.confusion is not None
    assert [sum(row[1:]) for row in found.confusion] == 10 * [0]
    assert {(each.predicted, each.confidence) for each in (*found.train, *found.test)} == {(0, None)}
    assert found.mistakes == ()


def test_a_network_that_is_certain() -> None:
    """Mistakes of equal confidence, the greatest that there is, come in the order of the data set."""
    run = with_a_round(run_of(own(lambda outputs: outputs * 1e4)))
    found = found_in(run)
    assert [each.confidence for each in found.mistakes] == 6 * [1.0]
    assert [each.place for each in found.mistakes] == sorted(each.place for each in found.mistakes)


def test_more_than_a_hundred_classes() -> None:
    """The counts of 101 classes, and their names, are left out with the reason; the images are not."""
    whole = part_of("digits")
    data = replace(whole, n_classes=101, class_names=tuple(map(str, range(101))))
    found = found_in(with_a_round(run_of(own(lambda outputs: outputs, 101), data=data)))
    assert (found.confusion, found.class_names, found.n_right) == (None, None, None)
    assert found.confusion_missing_because == "it has 101 classes, over 100"
    assert [len(each) for each in (found.train, found.test, found.mistakes)] == [6, 6, 6]
    hundred = replace(whole, n_classes=100, class_names=None)
    found = found_in(with_a_round(run_of(own(lambda outputs: outputs, 100), data=hundred)))
    assert (found.confusion is not None and len(found.confusion), found.class_names) == (100, None)


def test_a_network_that_answers_otherwise() -> None:
    """Of a network that classifies otherwise when asked again nothing is said; the reason names both counts."""
    counts = part_of("digits").test.labels.bincount(minlength=10)
    answer = rarest = int(counts.argmin())
    run = with_a_round(run_of(own(lambda outputs: 0 * outputs + F.one_hot(torch.tensor(answer), 10))))
    answer = commonest = int(counts.argmax())
    found, because = predictions_of(run)
    assert found is None
    assert because is not None
    assert because.startswith("evaluated once more, the network of seed 0 classifies ")
    assert f" {counts[commonest]} of 130 test images correctly, and in its round {counts[rarest]}:" in because
    assert counts[commonest] > counts[rarest]


def test_a_network_that_fails() -> None:
    """A failure loses no round: it is the reason why there is nothing."""
    run = with_a_round(run_of(own(lambda outputs: outputs)))

    def fail(_: Tensor) -> Tensor:
        raise RuntimeError("no more\nof this")

    with run.trained() as trainer:
        trainer.model.change = fail  # type: ignore[assignment]
    assert predictions_of(run) == (None, "evaluating the network once more failed: no more")
    assert len(run.rounds) == 1


def test_no_network_to_ask() -> None:
    """Neither a network that belongs to no round is asked, nor one of a round that the record leaves out."""
    run = run_of("digits-snn500")
    assert predictions_of(run) == (None, "no network of a round is left")
    run.round()
    assert predictions_of(run) == (None, "no network of a round is left")
    found, because = predictions_of(with_a_round(run, 2))  # one more than the protocol's
    assert (found, because) == (None, "the last network is of a round for a profiler, which is none of the record's")


@pytest.mark.parametrize("batch_size", [4, 100])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_batches_of_the_rounds_own_sizes(pipeline: str, batch_size: int) -> None:
    """No batch has a size that the rounds had none of, so that a GPU needs no other kernels, and no more memory."""
    seen: list[int] = []

    def note(outputs: Tensor) -> Tensor:
        seen.append(len(outputs))
        return outputs

    run = with_a_round(run_of(own(note), pipeline, batch_size=batch_size))
    of_rounds = set(seen)
    seen.clear()
    assert [each.place for each in found_in(run).train] == [0, 1, 2, 3, 4, 5]
    assert set(seen) <= of_rounds
    assert batch_size in seen
