"""Networks that are not what they should be: each fails by name, in a sentence, and no other cell with it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nets.networks.builtin import snn500
from tests.support.suite import Suite

Replace = Callable[[str, Callable[..., nn.Module]], None]
QUICK = ("--cells", "digits-snn500")
SHORT = (*QUICK, "--epochs", "1", "--rounds", "2")


def test_another_depth_and_size(suite: Suite, models: Replace) -> None:
    """A network that isn't the published one fails by layers, parameters and classical depth, each by name."""

    def deeper(image: tuple[int, int, int], n_classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), *(nn.Linear(784, 784) for _ in range(3)), nn.Linear(784, n_classes))

    models("snn500", deeper)
    suite.run(*SHORT).assert_outcomes(failed=1)
    assert suite.outcomes()["digits-snn500"] == (
        "failed",
        [
            "digits-snn500: layers: expected 2, found 4",
            "digits-snn500: parameters: expected 397,510, found 1,854,170",
            "digits-snn500: classical depth: expected shallow, found deep",
        ],
    )


def test_one_parameter_too_many(suite: Suite, models: Replace) -> None:
    """A bias more is found."""

    def wider(image: tuple[int, int, int], n_classes: int) -> nn.Module:
        model = snn500(image, n_classes)
        model.extra = nn.Parameter(torch.zeros(1))
        return model

    models("snn500", wider)
    suite.run(*SHORT).assert_outcomes(failed=1)
    assert suite.outcomes()["digits-snn500"][1] == ["digits-snn500: parameters: expected 397,510, found 397,511"]


class _NotANumber(nn.Module):
    def __init__(self, image: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        self.model = snn500(image, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits * float("nan")


def test_a_loss_that_is_not_finite(suite: Suite, models: Replace) -> None:
    """NaN is a failure of its own, "diverged", and never reaches the file."""
    models("snn500", _NotANumber)
    suite.bands("digits-snn500", [0.1, 0.11, 0.12])
    suite.run(*QUICK, "--rounds", "2").assert_outcomes(failed=1)
    assert suite.outcomes()["digits-snn500"] == (
        "failed",
        ["digits-snn500: diverged: a loss was not finite with seed 0, 1"],
    )
    record = suite.content()["benchmarks"][0]["extra_info"]
    assert record["band"]["verdict"] == "diverged"
    assert record["rounds"][0]["loss"] is None


ODD = """
from torch import nn
from nets import network

class Odd(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        self.change = change

    def forward(self, images):
        return self.change(self.layers(images), self.training)

builders = {
    "narrow": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 7)),
    "image": lambda: nn.Linear(28, 10),
    "frozen": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10).requires_grad_(False)),
    "tuple": lambda: Odd(lambda logits, training: (logits,)),
    "whole": lambda: Odd(lambda logits, training: logits.long()),
    "twice": lambda: Odd(lambda logits, training: logits if training else logits.repeat(1, 2)),
}
for name, builder in builders.items():
    network(dataset="digits", name=name)(builder)
"""
WRONG = {
    "digits-narrow": "has the shape (100, 7), not (100, 10)",
    "digits-image": "has the shape (100, 1, 28, 10), not (100, 10)",
    "digits-frozen": "has no trainable parameter",
    "digits-tuple": "returned a tuple, not one tensor",
    "digits-whole": "is torch.int64, not a floating",
    "digits-twice": "has the shape (360, 20), not (360, 10)",
}


def test_a_wrong_output(suite: Suite) -> None:
    """A network whose output has the wrong shape is an error of its cell, in a sentence; the others go on."""
    (suite.path / "own.py").write_text(ODD)
    cells = ",".join((*WRONG, "digits-lenet5"))
    result = suite.run("--nets", "own.py", "--cells", cells, "--epochs", "1", "--rounds", "1")
    result.assert_outcomes(passed=1, failed=len(WRONG))
    outcomes = suite.outcomes()
    for cell, message in WRONG.items():
        status, failures = outcomes[cell]
        assert status == "error"
        assert message in failures[0]
    assert outcomes["digits-lenet5"] == ("passed", [])


GREEDY = """
import torch
from torch import nn
from nets import network

def greedy(error):
    class Greedy(nn.Module):
        steps = 0

        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

        def forward(self, images):
            Greedy.steps += self.training and len(images) == 37  # the short batch that ends an epoch
            if Greedy.steps == 4:  # the second round's; its warm-up has one, too
                raise error
            return self.layers(images)

    return Greedy

network(dataset="digits", name="gpu")(greedy(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 99 GiB")))
network(dataset="digits", name="cpu")(greedy(RuntimeError("DefaultCPUAllocator: can't allocate memory: 99 bytes")))
network(dataset="digits", name="python")(greedy(MemoryError()))
"""


def test_out_of_memory(suite: Suite) -> None:
    """A cell that runs out of memory in mid-training fails alone; the rounds it had finished are kept."""
    (suite.path / "own.py").write_text(GREEDY)
    broken = ("digits-gpu", "digits-cpu", "digits-python")
    cells = ",".join((*broken, "digits-lenet5"))
    result = suite.run("--nets", "own.py", "--cells", cells, "--epochs", "1", "--rounds", "2")
    result.assert_outcomes(passed=1, failed=3)
    outcomes = suite.outcomes()
    for cell in broken:
        status, failures = outcomes[cell]
        assert status == "error"
        assert failures[0].startswith(f"{cell}: out of memory")
    content = suite.content()
    assert [len(record["rounds"]) for record in content["nets"]["unfinished"]] == [1, 1, 1]
    assert [b["params"]["cell"] for b in content["benchmarks"]] == ["digits-lenet5"]
