"""Networks of one's own: declared, found, run beside the suite's, and refused with a sentence."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nets.cells import registry
from nets.cells.catalog import CELLS
from nets.cells.sources import Undeclared
from tests.support.suite import REPOSITORY, Suite

EXAMPLE = REPOSITORY / "examples" / "my_nets.py"
HEAD = "from torch import nn\nfrom nets import network\n"
SMALL = "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))"


def declared(tmp_path: Path, text: str) -> str:
    """A file with declarations."""
    path = tmp_path / "own.py"
    path.write_text(HEAD + text)
    return str(path)


def test_the_example_s_cells() -> None:
    """The example's networks become cells after the suite's own, by the names of their builders."""
    found = registry.known_cells([str(EXAMPLE)])
    assert found[: len(CELLS)] == CELLS
    assert [cell.id for cell in found[len(CELLS) :]] == ["digits-mlp4", "mnist-mlp4", "shapes-Residual"]


def test_a_new_data_set_has_its_reference(tmp_path: Path) -> None:
    """A data set that only one's own network uses gets LeNet-5 beside it, once."""
    source = declared(
        tmp_path,
        f'@network(dataset=["fashion_mnist", "kmnist"])\ndef a(): return {SMALL}\n'
        f'@network(dataset="kmnist", name="b")\ndef c(): return {SMALL}\n',
    )
    found = [cell.id for cell in registry.known_cells([source])[len(CELLS) :]]
    assert found == ["fashion_mnist-a", "kmnist-a", "kmnist-b", "fashion_mnist-lenet5", "kmnist-lenet5"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it declares no network: decorate a builder with @nets.network"),
        ('@network(dataset="mnits")\ndef a(): ...', "a: unknown data set 'mnits'; known: mnist, "),
        ("@network(dataset=[])\ndef a(): ...", "a: no data set is named"),
        ("@network()\ndef a(): ...", 'a: no data set is named: @network(dataset="mnist")'),
        ("@network\ndef a(): ...", '@network is called with a data set: @network(dataset="mnist")'),
        ('@network(dataset="mnist", name="a-b")\ndef a(): ...', "the name 'a-b' has characters other than"),
        ('@network(dataset="mnist")\ndef lenet5(): ...', "the cell mnist-lenet5 is there already"),
        ('@network(dataset="mnist")\ndef a(): ...\n' * 2, "the cell mnist-a is there already"),
        ('@network(dataset="mnist", name=3)\ndef a(): ...', "the name 3 has characters other than"),
        ('@network(dataset="mnist", layers="two")\ndef a(): ...', "a: layers is 'two', not a whole number"),
        ('@network(dataset="mnist", classical="odd")\ndef a(): ...', "a: classical is 'odd', neither 'shallow' nor"),
        ('@network(dataset="folder:a,b")\ndef a(): ...', "a: 'folder:a,b' has a comma, which --cells takes"),
        ('network(dataset="mnist")(3)', "@network decorates a function, a class or another builder, not a int"),
        (
            'network(dataset="mnist")(nn.Linear(1, 1))',
            "this is a network, and every round needs a fresh one: declare a",
        ),
        (
            'network(dataset="mnist")(lambda: 1)',
            "a lambda has no name of its own: give one, network(dataset=..., name=",
        ),
        (
            'import functools\nnetwork(dataset="mnist")(functools.partial(int))',
            "a partial has no name of its own: give",
        ),
        ("import no_such_module", "importing it raised ModuleNotFoundError: No module named 'no_such_module'"),
        ("1/0", "importing it raised ZeroDivisionError: division by zero"),
        ("raise SystemExit", "it ended the program (SystemExit): what it does as a program belongs under"),
    ],
)
def test_refused(tmp_path: Path, text: str, sentence: str) -> None:
    """What is wrong with a declaration is one sentence that names the file."""
    source = declared(tmp_path, text)
    with pytest.raises(Undeclared) as raised:
        registry.known_cells([source])
    assert sentence in str(raised.value)
    assert str(raised.value).startswith(source)


def test_in_the_suite(suite: Suite) -> None:
    """`--nets FILE --cells ...` trains one's own network beside the reference and judges it by both definitions."""
    result = suite.run("--nets", str(EXAMPLE), "--cells", "digits-mlp4,digits-lenet5", "--epochs", "1", "--rounds", "2")
    result.assert_outcomes(passed=2)
    records = {b["extra_info"]["cell"]["model"]: b["extra_info"] for b in suite.content()["benchmarks"]}
    assert records["mlp4"]["network"]["layers"] == 4
    assert records["mlp4"]["depth"]["classical"] == "deep"
    assert records["mlp4"]["depth"]["reference"] == "digits-lenet5"
    assert records["mlp4"]["depth"]["criteria"]["demand"]["state"] == "fails"
    result.stdout.fnmatch_lines([" digits*mlp4*4*111,146*deep*"])


def test_an_expectation_that_fails(suite: Suite, tmp_path: Path) -> None:
    """What a declaration expects is checked, and what it doesn't say is not."""
    source = declared(tmp_path, f'@network(dataset="digits", layers=3)\ndef a(): return {SMALL}')
    result = suite.run("--nets", source, "--cells", "digits-a", "--epochs", "1", "--rounds", "1")
    result.assert_outcomes(failed=1)
    assert suite.outcomes()["digits-a"] == ("failed", ["digits-a: layers: expected 3, found 1"])


@pytest.mark.parametrize(
    ("builder", "sentence"),
    [
        ("def a(x): ...", "a needs x: what builds a network takes no argument, or the image's shape"),
        ("def a(): return 1", "a returned a int, not a torch.nn.Module"),
        (f"def a(): return {SMALL}.requires_grad_(False)", "digits-a: the network has no trainable parameter"),
        ("def a(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 3))", "has the shape (100, 3), not (100, 10)"),
        ("def a(): 1/0", "digits-a: building it raised ZeroDivisionError: division by zero"),
        (f"def a(): return {SMALL}.double()", "digits-a: a training step raised RuntimeError: "),
        (
            "class a(nn.Module):\n"
            "    def __init__(self): super().__init__(); self.of = nn.Embedding(2, 3, sparse=True); "
            "self.out = nn.Linear(2352, 10)\n"
            "    def forward(self, x): return self.out(self.of((x > 0.5).long()).flatten(1))",
            "digits-a: Adam does not support sparse gradients: make them dense",
        ),
        (
            f"def a(once=[]): return once[0] if once else once.append({SMALL}) or once[0]",
            "what builds it returned weights that it returned before",
        ),
    ],
)
def test_a_network_that_can_t_be_trained(suite: Suite, tmp_path: Path, builder: str, sentence: str) -> None:
    """A builder that gives no fit network fails its cell with a sentence, without a traceback."""
    source = declared(tmp_path, f'@network(dataset="digits")\n{builder}')
    result = suite.run("--nets", source, "--cells", "digits-a", "--rounds", "1")
    result.assert_outcomes(failed=1)
    ((status, failures),) = suite.outcomes().values()
    assert (status, sentence in failures[0]) == ("error", True), failures
    assert suite.content()["nets"]["unfinished"][0]["rounds"] == []
    assert "Traceback" not in result.stdout.str()


def test_lazy_modules(suite: Suite, tmp_path: Path) -> None:
    """Lazy modules get their sizes before they are counted and trained."""
    source = declared(
        tmp_path,
        '@network(dataset="digits", layers=2, parameters=39_760)\n'
        "def lazy(): return nn.Sequential(nn.Flatten(), nn.LazyLinear(50), nn.ReLU(), nn.LazyLinear(10))",
    )
    suite.run("--nets", source, "--cells", "digits-lazy", "--epochs", "1", "--rounds", "1").assert_outcomes(passed=1)


def test_a_recurrent_network(suite: Suite, tmp_path: Path) -> None:
    """An LSTM over the rows of an image has a layer a row, and is trained as any other."""
    source = declared(
        tmp_path,
        '@network(dataset="digits", layers=28)\n'
        "class rows(nn.LSTM):\n"
        "    def __init__(self): super().__init__(28, 10, batch_first=True)\n"
        "    def forward(self, x): return super().forward(x[:, 0])[0][:, -1]\n",
    )
    result = suite.run("--nets", source, "--cells", "digits-rows", "--epochs", "1", "--rounds", "1")
    result.assert_outcomes(passed=1)


def test_complex_weights(suite: Suite, tmp_path: Path) -> None:
    """A network with complex weights is trained as any other."""
    source = declared(
        tmp_path,
        "import torch\n"
        '@network(dataset="digits", layers=1)\n'
        "class spectral(nn.Linear):\n"
        "    def __init__(self): super().__init__(784, 10, dtype=torch.complex64)\n"
        "    def forward(self, x): return super().forward(x.flatten(1).to(torch.complex64)).abs()\n",
    )
    result = suite.run("--nets", source, "--cells", "digits-spectral", "--epochs", "1", "--rounds", "1")
    result.assert_outcomes(passed=1)


def test_a_bad_source_ends_pytest(suite: Suite) -> None:
    """`--nets` with a file that isn't there is a usage error, before anything is collected."""
    result = suite.run("--nets", "nowhere.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --nets: nowhere.py: there is no such file"])


def test_from_an_installed_wheel(tmp_path: Path) -> None:
    """Another repository, with nets installed from its wheel and a package that declares networks by an entry point.

    There the one line in conftest, the copied benchmark and a module of its own networks are all it takes.
    """
    site, there = tmp_path / "site", tmp_path / "there"
    run = {"check": True, "capture_output": True, "text": True}
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=REPOSITORY, **run
    )  # type: ignore[call-overload]  # a dict of options
    (wheel,) = tmp_path.glob("pytest_nets-*.whl")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(site), str(wheel)],
        **run,  # type: ignore[call-overload]
    )
    (site / "vendor_nets.py").write_text(f'{HEAD}@network(dataset="digits")\ndef vendored(): return {SMALL}\n')
    facts = site / "vendor-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: vendor\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("[nets.networks]\nvendor = vendor_nets\n")
    (there / "benchmarks").mkdir(parents=True)
    (there / "conftest.py").write_text('pytest_plugins = ["nets.plugin"]\n')
    (there / "own_nets.py").write_text(f'{HEAD}@network(dataset="digits")\ndef own(): return {SMALL}\n')
    (there / "benchmarks" / "test_train_eval.py").write_text(
        (REPOSITORY / "benchmarks" / "test_train_eval.py").read_text()
        + f"\n\ndef test_where() -> None:\n    import nets\n    assert nets.__file__.startswith({str(site)!r})\n"
    )
    (site / "no_cpuinfo.py").write_text("import pytest_benchmark.plugin\npytest_benchmark.plugin.get_cpu_info = dict\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks", "--device", "cpu", "--nets", "own_nets", "--rounds", "1",
         "-p", "no_cpuinfo", "--epochs", "1", "--cells", "digits-own,digits-vendored", "--benchmark-json", "out.json"],
        cwd=there, env={**environment, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_a_builder_of_another_module(tmp_path: Path) -> None:
    """A class that a file imports is declared as the file's own, whoever's it is, and by whoever's function."""
    (tmp_path / "theirs.py").write_text(
        f"{HEAD}class Net(nn.Linear): pass\ndef on_mnist(b): return network(dataset='mnist')(b)"
    )
    source = declared(
        tmp_path,
        "import functools, theirs\nfrom theirs import Net\n"
        'network(dataset="mnist")(theirs.Net)\n'
        'list(map(network(dataset="digits"), [Net]))\n'
        'network(dataset="mnist", name="half")(functools.partial(Net, 1))\n'
        'network(dataset="mnist", name="short")(lambda: None)\n'
        "@theirs.on_mnist\ndef own(): ...\n"
        "class Maker:\n    def __call__(self): ...\n"
        'def declare():\n    network(dataset="mnist", name="made")(Maker())\ndeclare()\n',
    )
    found = [cell.id for cell in registry.known_cells([source])[len(CELLS) :]]
    assert found == ["mnist-Net", "digits-Net", "mnist-half", "mnist-short", "mnist-own", "mnist-made"]
    with pytest.raises(Undeclared, match="it declares no network"):
        registry.known_cells([str(tmp_path / "theirs.py")])


def test_a_declared_builder_finds_its_neighbours(tmp_path: Path) -> None:
    """The builder of a declared cell keeps its name and its arguments, and imports as its file does."""
    (tmp_path / "sizes_of_own.py").write_text("width = 3")
    source = declared(
        tmp_path,
        '@network(dataset="mnist")\ndef own(shape, n):\n    from sizes_of_own import width\n    return shape, n, width',
    )
    build = registry.known_cells([source])[-1].build
    assert build is not None
    assert (build.__name__, build((1, 2, 2), 4)) == ("own", ((1, 2, 2), 4, 3))


def test_a_declared_partial_is_told_by_its_kind(tmp_path: Path) -> None:
    """A partial, which has no name, keeps its arguments, and is called by its kind in a sentence."""
    source = declared(
        tmp_path,
        'import functools\nnetwork(dataset="mnist", name="own")(functools.partial(lambda a, s, n: (a, s, n), 1))',
    )
    build = registry.known_cells([source])[-1].build
    assert build is not None
    assert (build.__name__, build((1, 2, 2), 4)) == ("partial", (1, (1, 2, 2), 4))
    assert list(inspect.signature(build).parameters) == ["s", "n"]


@pytest.mark.usefixtures("forked")
def test_two_files_of_one_name_in_the_suite(suite: Suite, tmp_path: Path) -> None:
    """Two `--nets` files of the same name, with neighbours of one name, are trained side by side, under xdist too."""
    text = "    from width import n\n    return nn.Sequential(nn.Flatten(), nn.Linear(784, n), nn.Linear(n, 10))\n"
    sources = []
    for folder, n in (("one", 3), ("two", 4)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "width.py").write_text(f"n = {n}")
        sources += ["--nets", declared(tmp_path / folder, f'@network(dataset="digits")\ndef {folder}():\n{text}')]
    cells = ("--cells", "digits-one,digits-two", "--epochs", "1", "--rounds", "1", "-n", "1")
    suite.run(*sources, *cells).assert_outcomes(passed=2)
    records = {b["extra_info"]["cell"]["model"]: b["extra_info"] for b in suite.content()["benchmarks"]}
    assert {name: record["network"]["parameters"] for name, record in records.items()} == {
        "one": 785 * 3 + 4 * 10,
        "two": 785 * 4 + 5 * 10,
    }


def test_ctrl_c_while_a_file_is_imported(suite: Suite, tmp_path: Path) -> None:
    """Ctrl-C while pytest imports a file, as in a training loop at its top, names the file."""
    source = declared(tmp_path, "raise KeyboardInterrupt")
    result = suite.run("--nets", source)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert f"in {source}: what it does as a program belongs under" in result.stdout.str() + result.stderr.str()
