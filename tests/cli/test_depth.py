"""`nets depth`: a verdict for one network, and one sentence for what is none."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nets.cli.app import app
from tests.support.suite import REPOSITORY

runner = CliRunner()
EXAMPLE = f"{REPOSITORY / 'examples' / 'my_nets.py'}"

TARGETS = """
from torch import nn
def needy(a): ...
def text(): return "x"
def boom(): raise KeyError("k")
def several():
    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(784, 10)
        def forward(self, images): return self.out(images.flatten(1)), 1
    return Several()
def wide(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 11))
def narrow(): return nn.Sequential(nn.Flatten(), nn.Linear(7, 10))
class Own(nn.Linear):
    def __init__(self, hidden, depth): super().__init__(hidden, depth)
def ends():
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("lr")
    parser.parse_args()
def unweighted(): return nn.Flatten()
network = nn.Linear(1, 1)
number = 3
"""


def test_structure_alone() -> None:
    """Torchvision's resnet18 has 18 layers, its published parameters, and is deep; nothing is trained."""
    result = runner.invoke(app, ["depth", "torchvision:resnet18", "--input", "3x32x32", "--structure-only"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "18 layers, 17 of them hidden, 11,689,512 trainable parameters" in result.stdout
    assert "Classical definition: deep." in result.stdout


def test_layers_one_by_one() -> None:
    """`--layers` prints the modules, those on the longest path numbered up to the number of layers."""
    arguments = ["depth", "torchvision:resnet18", "--input", "3x32x32", "--structure-only"]
    lines = runner.invoke(app, [*arguments, "--layers"]).stdout.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if "Conv2d" in line or "Linear" in line}
    assert rows["conv1"] == ["Conv2d", "64x16x16", "9,408", "2,408,448", "1"]
    assert rows["layer2.0.downsample.0"] == ["Conv2d", "128x4x4", "8,192", "131,072"]
    assert rows["fc"][-1] == "18"
    found = json.loads(runner.invoke(app, [*arguments, "--json", "-"]).stdout)["network"]["table"]
    assert next(layer["name"] for layer in found if layer["on_longest_path"]) == "conv1"
    assert "layer" not in runner.invoke(app, arguments).stdout.splitlines()[1:]


@pytest.mark.usefixtures("one_epoch")
def test_by_cost() -> None:
    """With a data set the network is trained in turns with LeNet-5, and all three criteria are said."""
    result = runner.invoke(app, ["depth", f"{EXAMPLE}:mlp4", "--dataset", "digits", "--rounds", "2", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    order = [line.split(",")[0].strip() for line in lines if ", seed " in line]
    assert order == ["mlp4", "lenet5", "lenet5", "mlp4"]
    assert "Classical definition: deep." in lines
    for part in ("By cost, on cpu: ", "  layers: holds (3 hidden)", "  time: ", "  demand: fails, 0.27 (exact) of "):
        assert any(line.startswith(part) for line in lines), part


@pytest.mark.usefixtures("one_epoch")
def test_as_json() -> None:
    """`--json -` prints one object and nothing else: the structure, both verdicts, every round of both."""
    arguments = ["depth", f"{EXAMPLE}:mlp4", "--dataset", "digits", "--rounds", "1", "--device", "cpu", "--json", "-"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["kind"], found["network"]["layers"], found["depth"]["classical"]) == ("depth", 4, "deep")
    assert [len(side["rounds"]) for side in found["sides"]] == [1, 1]
    assert found["depth"]["criteria"]["time"]["because"] == "an interval needs two rounds of both"


@pytest.mark.usefixtures("one_epoch")
def test_time_of_each_layer() -> None:
    """With a data set `--layers` has the time of each layer, forward and backward, in the table and in the JSON."""
    arguments = ["depth", f"{EXAMPLE}:mlp4", "--dataset", "digits", "--rounds", "1", "--device", "cpu"]
    result = runner.invoke(app, [*arguments, "--layers"])
    assert result.exit_code == 0, result.output
    after = result.stdout.partition("By cost, on cpu: ")[2].splitlines()
    rows = [line.split() for line in after if " Linear " in line]
    assert [(row[0], len(row)) for row in rows] == [(name, 5) for name in ("1", "3", "5", "7")]
    assert any(line.startswith("Medians of ") for line in after)

    found = json.loads(runner.invoke(app, [*arguments, "--layers", "--json", "-"]).stdout)
    by_name = {module["name"]: module for module in found["layer_times"]["modules"]}
    assert {layer["name"] for layer in found["network"]["table"]} <= by_name.keys()
    assert all(by_name[name]["forward_s"] > 0 < by_name[name]["backward_s"] for name in ("1", "3", "5", "7"))
    assert found["layer_times_missing_because"] is None
    assert json.loads(runner.invoke(app, [*arguments, "--json", "-"]).stdout)["layer_times"] is None


@pytest.mark.usefixtures("one_epoch")
def test_as_json_of_a_file_that_prints(tmp_path: Path) -> None:
    """What a network's code prints, at its top, when it is built and when it is run, is not among the JSON."""
    file = tmp_path / "loud.py"
    file.write_text(
        "from torch import nn\nprint('top')\nclass Loud(nn.Linear):\n"
        "    def __init__(self): super().__init__(784, 10); print('built')\n"
        "    def forward(self, x): print('run'); return super().forward(x.flatten(1))\n"
    )
    for more in (["--input", "1x28x28"], ["--dataset", "digits", "--rounds", "1", "--device", "cpu"]):
        result = runner.invoke(app, ["depth", f"{file}:Loud", "--json", "-", *more])
        assert json.loads(result.stdout)["network"]["layers"] == 1
        assert {"top", "built", "run"} <= set(result.stderr.splitlines())


def test_ctrl_c_while_a_file_is_imported(tmp_path: Path) -> None:
    """Ctrl-C while a file is imported, as at an input() at its top, ends with 130 and a sentence that names it."""
    (tmp_path / "net.py").write_text("raise KeyboardInterrupt")
    result = runner.invoke(app, ["depth", f"{tmp_path / 'net.py'}:f", "--input", "1x28x28"])
    assert result.exit_code == 130
    assert result.stderr.startswith(f"nets depth: interrupted in {tmp_path / 'net.py'}: what it does as a program")


@pytest.mark.parametrize("target", ["src", "file"])
def test_from_the_repository_s_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """A module under ./src is found by its name, and a file in a package imports from the package."""
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "src" / f"package_{target}"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "sizes.py").write_text("width = 5")
    (package / "own.py").write_text(
        "from torch import nn\nfrom .sizes import width\ndef f():\n    from .sizes import width as again\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.Linear(again, 10))\n"
    )
    named = {"src": "package_src.own:f", "file": "src/package_file/own.py:f"}[target]
    result = runner.invoke(app, ["depth", named, "--input", "1x28x28", "--structure-only"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "2 layers, 1 of them hidden, 3,985 trainable parameters" in result.stdout


def test_a_network_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is larger than the memory is one sentence, and exit 2."""
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text("from torch import nn\ndef big(): return nn.Linear(10**9, 10**6)\n")
    result = runner.invoke(app, ["depth", "own.py:big", "--input", "1x28x28", "--structure-only"])
    assert result.exit_code == 2
    assert result.stderr.startswith("nets depth: out of memory: ")
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("nowhere", "'nowhere' is no target: package.module:callable, path/to/file.py:callable, torchvision:NAME or "),
        ("no_such_module:f", "no_such_module: there is no such module, neither here, nor in ./src, nor installed"),
        ("nowhere.py:f", "nowhere.py: there is no such file"),
        ("torchvision:resnet19", "torchvision has no classification model 'resnet19'; did you mean resnet18"),
        ("own.py:nedy", "own.py has no 'nedy'; did you mean needy?"),
        ("own.py:needy", "needy needs a: what builds a network takes no argument, or the image's shape"),
        ("own.py:text", "text returned a str, not a torch.nn.Module"),
        ("own.py:boom", "building it raised KeyError: 'k'"),
        ("own.py:Own", "own.py:Own: Own(hidden=(1, 28, 28), depth=10) raised TypeError: "),
        ("own.py:ends", "with the words 'own.py: error: the following arguments are required: lr': what it does as a"),
        (".:f", "'.' is neither a file, whose name ends in .py, nor the name of a module"),
        ("timm:resnet18", "timm:resnet18: timm is not installed: pip install timm"),
        ("own.py:network", "is a network, and every round needs a fresh one"),
        ("own.py:number", "is a int, not a function or class that builds a network"),
        ("own.py:several", "the network returned a tuple, not one tensor (100, 10)"),
        ("own.py:wide", "the network's output has the shape (100, 11), not (100, 10)"),
        ("own.py:narrow", "mat1 and mat2 shapes cannot be multiplied"),
        ("own.py:unweighted", "the network has no trainable parameter"),
    ],
)
def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, sentence: str) -> None:
    """What can't be judged is refused with one sentence, no traceback, and exit 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "timm", None)
    Path("own.py").write_text(TARGETS)
    result = runner.invoke(app, ["depth", target, "--dataset", "digits", "--device", "cpu", "--rounds", "1"])
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give --input, one image's shape (3x32x32), or a --dataset"),
        (["--input", "3x32"], "--input '3x32' is not one image's channels, height and width, as in 3x32x32"),
        (["--input", "3x0x3"], "is not one image's channels"),
        (["--dataset", "mnits"], "unknown data set 'mnits'"),
        (["--dataset", "digits", "--protocol", "slow"], "unknown protocol 'slow'"),
        (["--dataset", "digits", "--input", "3x32x32"], "contradicts digits, whose images are (1, 28, 28)"),
        (["--dataset", "digits", "--device", "cuda:99"], "--device cuda:99: "),
    ],
)
def test_wrong_options(arguments: list[str], sentence: str) -> None:
    """Options that don't fit are one sentence."""
    result = runner.invoke(app, ["depth", f"{EXAMPLE}:mlp4", *arguments])
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
