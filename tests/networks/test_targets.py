"""TARGETs of `nets depth`: files and modules, torchvision's networks and timm's."""

from __future__ import annotations

import subprocess
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nets.networks.build import UnfitNetwork
from nets.networks.targets import target_builder


@pytest.mark.parametrize("name", ["inception_v3", "googlenet"])
def test_without_auxiliary_heads(name: str) -> None:
    """Networks that have auxiliary heads are built without: they return one tensor while they are trained, too."""
    network = target_builder(f"torchvision:{name}")((3, 75, 75), 10)
    output = network.train()(torch.zeros(2, 3, 75, 75))
    assert isinstance(output, Tensor)
    assert output.shape == (2, 10)
    output.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("name", ["inception_v3", "googlenet"])
def test_torchvision_s_warnings(name: str) -> None:
    """What torchvision has to say of its own initialisation doesn't reach who asks for a network."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        network = target_builder(f"torchvision:{name}")((3, 75, 75), 10)
        warnings.warn("another", FutureWarning, stacklevel=1)
    assert isinstance(network, nn.Module)
    assert [str(warning.message) for warning in told] == ["another"]


def test_what_torchvision_does_not_need() -> None:
    """To build a network of torchvision's imports neither torch's compiler nor a library of figures or tables."""
    code = (
        "import sys\nfrom nets.networks.targets import target_builder\n"
        "target_builder('torchvision:resnet18')((3, 32, 32), 10)\n"
        "print([name for name in ('torch._dynamo', 'sympy', 'scipy', 'sklearn', 'pandas') if name in sys.modules])\n"
        "print('torch._dynamo.utils' in sys.modules)\n"
        "from torch._dynamo.utils import is_compile_supported\nfrom torchvision.ops import roi_align\n"
        "print(is_compile_supported('cpu') == roi_align.__globals__['is_compile_supported']('cpu'))\n"
        "import torch\nprint(torch.compile(lambda x: x + 1, backend='eager')(torch.zeros(1)).item())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "False", "True", "1.0"], done.stderr


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A stand-in for timm; what it was asked to create."""
    asked: list[dict[str, Any]] = []

    def create_model(name: str, **options: Any) -> nn.Module:
        asked.append({"name": name, **options})
        return nn.Conv2d(options["in_chans"], options["num_classes"], 3)

    module = types.ModuleType("timm")
    module.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]  # which is asked for it
    module.__dict__.update(list_models=lambda: ["resnet18", "vit_tiny_patch16_224"], create_model=create_model)
    monkeypatch.setitem(sys.modules, "timm", module)
    return asked


@pytest.mark.parametrize("name", ["resnet18", "resnet18.a1_in1k"])
def test_timm(timm: list[dict[str, Any]], name: str) -> None:
    """A network of timm's is built for the image's channels and the classes, without weights to be downloaded."""
    assert target_builder(f"timm:{name}")((1, 28, 28), 7).out_channels == 7
    assert timm == [{"name": name, "pretrained": False, "num_classes": 7, "in_chans": 1}]


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("timm:resnet19", "timm has no model 'resnet19'; did you mean resnet18?"),
        ("timm:hf-hub:someone/resnet18", "timm has no model 'hf-hub:someone/resnet18'"),
        ("timm:", "'timm:' is no target: package.module:callable, path/to/file.py:callable, torchvision:NAME or timm:"),
    ],
)
def test_what_timm_has_not(timm: list[dict[str, Any]], target: str, sentence: str) -> None:
    """A name that timm doesn't list, as one of a hub, is refused, and nothing is created."""
    with pytest.raises(UnfitNetwork) as raised:
        target_builder(target)
    assert sentence in str(raised.value)
    assert timm == []


def test_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where timm is not installed, a sentence says how to install it."""
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UnfitNetwork, match=r"^timm:resnet18: timm is not installed: pip install timm$"):
        target_builder("timm:resnet18")


def test_real_timm() -> None:
    """Where timm is installed, its networks are built for one channel, too."""
    pytest.importorskip("timm")
    network = target_builder("timm:resnet18")((1, 32, 32), 10)
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 10)


def test_a_file_s_builder(tmp_path: Path) -> None:
    """A builder of a file imports its neighbours when it is called, and a builder that ends the program is told of."""
    (tmp_path / "sizes.py").write_text("width = 3")
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef f():\n    import sizes\n    return nn.Linear(sizes.width, 1)\n"
        "def g():\n    import argparse\n    p = argparse.ArgumentParser()\n    p.add_argument('lr')\n"
        "    p.parse_args()\n"
    )
    network = target_builder(f"{tmp_path / 'net.py'}:f")((1, 28, 28), 10)
    assert network.in_features == 3
    with pytest.raises(UnfitNetwork, match=r"building it: it ended the program .* are required: lr'"):
        target_builder(f"{tmp_path / 'net.py'}:g")((1, 28, 28), 10)
