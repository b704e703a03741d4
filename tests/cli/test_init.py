"""`nets init`: what it writes into another repository, what it leaves as it was, and what it refuses."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nets.cli.app import app
from nets.cli.scaffold import place
from nets.cli.scaffold.originals import CHECKOUT
from tests.support.commands import Ran, runner
from tests.support.repositories import commit, git, made
from tests.support.suite import REPOSITORY

OWN = """from torch import nn

from nets import network


@network(dataset=["digits", "shapes"])
def tiny():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
"""
WRITTEN = [
    ".ci/as-nets-code", ".github/workflows/gpu-gate.yml", ".github/workflows/gpu-label.yml", ".gitignore",
    "benchmarks/bands.toml", "benchmarks/conftest.py", "benchmarks/gate.toml", "benchmarks/test_train_eval.py",
    "conftest.py",
]  # fmt: skip
init = runner("init")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one that one stands in; pytest is taken to start there, which tests of their own look at."""
    monkeypatch.setattr(place, "clash", lambda root: None)
    return made(tmp_path, monkeypatch)


def files() -> dict[str, bytes]:
    """What the repository holds."""
    paths = [path for path in Path().rglob("*") if path.is_file() and not {".git", "__pycache__"} & set(path.parts)]
    return {str(path): path.read_bytes() for path in sorted(paths)}


def refused(*arguments: str) -> str:
    """Why it is refused, in a sentence, with nothing written."""
    before = files()
    done = init(*arguments)
    assert done.exit_code == 2, done.output
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert files() == before
    return done.stderr


@pytest.mark.usefixtures("repository")
def test_an_empty_repository() -> None:
    """It gets all files, is told what to run next, and a second time nothing changes."""
    first = init()
    assert first.exit_code == 0, first.stderr
    assert list(files()) == WRITTEN
    assert "pytest benchmarks --cells digits-snn500,digits-lenet5" in first.output
    assert os.access(".ci/as-nets-code", os.X_OK)
    before = files()
    again = init()
    assert (again.exit_code, again.output) == (0, "everything is there; nothing is changed\n")
    assert files() == before
    assert init("--check").exit_code == 0
    for name in WRITTEN:
        if name.startswith("benchmarks/"):
            assert before[name] == (REPOSITORY / name).read_bytes()


@pytest.mark.usefixtures("repository")
def test_without_workflows() -> None:
    """`--ci none` writes what is run by hand alone."""
    assert init("--ci", "none").exit_code == 0
    assert list(files()) == [name for name in WRITTEN if not name.startswith((".ci", ".github"))]
    assert init("--ci", "none", "--check").exit_code == 0


@pytest.mark.usefixtures("repository")
def test_own_networks_reach_the_workflow() -> None:
    """The gate and the nightly run name the repository's networks and the cells that they are declared for.

    The next call without options finds them there; other ones are a change, which is shown and asked for.
    """
    commit({"src/mine/nets.py": OWN, "src/mine/__init__.py": "", "pyproject.toml": '[project]\nname = "mine"\n'})
    assert init("--nets", "src/mine/nets.py").exit_code == 0
    text = Path(".github/workflows/gpu-gate.yml").read_text()
    assert "\n  NETS: src/mine/nets.py\n  CELLS: digits-tiny,shapes-tiny\n" in text
    assert text.count('--nets="$NETS" --cells "$CELLS"') == 2
    assert text.count("pip install 'pytest-nets==") == text.count("' -e .\n") == 2
    assert "constraints.txt" not in text
    git("add", "-A")
    git("commit", "--quiet", "-m", "x")
    assert "nothing is changed" in init().output
    assert "nothing is changed" in init("--nets", "src/mine/nets.py").output
    told = init("--nets", "mine.nets", "--cells", "digits-tiny,digits-lenet5")
    assert told.exit_code == 2
    assert "+  NETS: mine.nets\n" in told.output
    assert "To have it so: --yes" in told.stderr
    assert init("--nets", "mine.nets", "--cells", "digits-tiny,digits-lenet5", "--yes").exit_code == 0
    assert (
        "\n  NETS: mine.nets\n  CELLS: digits-lenet5,digits-tiny\n"
        in Path(".github/workflows/gpu-gate.yml").read_text()
    )


@pytest.mark.usefixtures("repository")
def test_another_folder_and_submodules() -> None:
    """The workflow follows `--folder`, and checks submodules out where there are some."""
    commit({".gitmodules": "", "benchmarks/conftest.py": "# asv's\n"})
    assert "benchmarks/conftest.py is there, and is none of nets's" in refused()
    assert init("--folder", "bench/nets").exit_code == 0
    text = Path(".github/workflows/gpu-gate.yml").read_text()
    assert "--tests bench/nets " in text
    assert "pytest bench/nets --cells" in text
    assert "--config bench/nets/gate.toml" in text
    assert text.count("submodules: recursive") == 2
    assert init("--folder", "bench/nets", "--check").exit_code == 0


@pytest.mark.usefixtures("repository")
def test_check() -> None:
    """Each file that is missing or differs is named, and the exit code is 1; bands and limits are the user's own."""
    init()
    Path("benchmarks/test_train_eval.py").unlink()
    Path("benchmarks/gate.toml").write_text("[gate]\ntime = 0.1\n")
    Path("benchmarks/bands.toml").write_text("schema = 1\n")
    workflow = Path(".github/workflows/gpu-label.yml")
    workflow.write_text(workflow.read_text().replace("timeout-minutes: 5", "timeout-minutes: 6"))
    Path(".gitignore").write_text("x\n")
    before = files()
    told = init("--check")
    assert told.exit_code == 1
    assert told.output.splitlines() == [
        "benchmarks/test_train_eval.py: missing",
        ".github/workflows/gpu-label.yml: differs from what this version of nets would write",
        ".gitignore: lines are missing",
    ]
    assert files() == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import os\n", 'import os\n\npytest_plugins = ["nets.plugin"]\n'),
        ("import os", 'import os\n\npytest_plugins = ["nets.plugin"]\n'),
        ("import os\r\n", 'import os\r\n\r\npytest_plugins = ["nets.plugin"]\r\n'),
        ('pytest_plugins = ["a"]\n', 'pytest_plugins = ["a", "nets.plugin"]\n'),
        (
            '# é\npytest_plugins = [\n    "é",\n]\nx = 1\n',
            '# é\npytest_plugins = [\n    "é", "nets.plugin",\n]\nx = 1\n',
        ),
        ('pytest_plugins = ("a",)\n', 'pytest_plugins = ("a", "nets.plugin",)\n'),
        ("pytest_plugins = ()\n", 'pytest_plugins = ("nets.plugin",)\n'),
        ("pytest_plugins: list[str] = []\n", 'pytest_plugins: list[str] = ["nets.plugin"]\n'),
        ('pytest_plugins = "a"  # b\n', 'pytest_plugins = ["a", "nets.plugin"]  # b\n'),
        ('"""\u2028"""\n\x0c\npytest_plugins = ["a"]\n', '"""\u2028"""\n\x0c\npytest_plugins = ["a", "nets.plugin"]\n'),
        (
            "def f():\n    pytest_plugins = []\n",
            'def f():\n    pytest_plugins = []\n\npytest_plugins = ["nets.plugin"]\n',
        ),
        ('pytest_plugins = ["a"]\npytest_plugins += ["nets.plugin"]\n', None),
    ],
)
@pytest.mark.usefixtures("repository")
def test_the_line_in_a_conftest(before: str, after: str | None) -> None:
    """The suite joins the plug-ins of a conftest.py, whose other lines stay; where it is among them nothing changes."""
    Path("conftest.py").write_bytes(before.encode())
    git("add", "-A")
    git("commit", "--quiet", "-m", "x")
    done = init("--yes")
    assert done.exit_code == 0, done.stderr
    assert Path("conftest.py").read_bytes().decode() == (after or before)
    if after:
        assert "+++ b/conftest.py" in done.output


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("pytest_plugins = make()\n", 'not one list that is written out: add "nets.plugin" to it yourself'),
        ('pytest_plugins = ["a"]\npytest_plugins += ["b"]\n', "not one list that is written out"),
        ("def (\n", "conftest.py: it is no Python code"),
        ("# coding: latin-1\n", "it is written in iso-8859-1"),
    ],
)
@pytest.mark.usefixtures("repository")
def test_a_conftest_that_can_t_be_changed(text: str, because: str) -> None:
    """It is refused by its name, and nothing is written."""
    commit({"conftest.py": text})
    assert because in refused("--yes")


@pytest.mark.usefixtures("repository")
def test_nothing_uncommitted_is_written_over() -> None:
    """A file that would change, and whose content no commit has, is left alone, whatever the option says.

    Other changes in the working tree are no hindrance.
    """
    Path("conftest.py").write_text("a = 1\n")
    assert "conftest.py: no commit has what is there now" in refused("--yes")
    commit({"x.py": "x = 1\n"})
    Path("conftest.py").write_text("a = 2\n")
    Path("x.py").write_text("x = 2\n")
    assert "conftest.py: no commit has what is there now" in refused("--yes")
    git("checkout", "--quiet", "--", "conftest.py")
    assert init("--yes").exit_code == 0


@pytest.mark.usefixtures("repository")
def test_without_a_terminal_nothing_is_changed_unasked() -> None:
    """What would change is shown, and refused; `--yes` does it."""
    commit({"conftest.py": "a = 1\n", ".gitignore": "*.pyc"})
    assert "conftest.py, .gitignore: there already" in refused()
    assert init("--yes").exit_code == 0
    assert Path(".gitignore").read_text().startswith("*.pyc\n/nets-ab/\n")
    Path(".gitignore").write_bytes(b"*.pyc\r\n")
    git("commit", "--quiet", "-am", "x")
    assert init("--yes").exit_code == 0
    assert Path(".gitignore").read_bytes().startswith(b"*.pyc\r\n/nets-ab/\r\n")


@pytest.mark.usefixtures("repository")
def test_asked_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal it asks: a no leaves everything as it was, a yes writes."""
    monkeypatch.setattr("nets.cli.init.is_asked_on_a_terminal", lambda: True)
    commit({"conftest.py": "a = 1\n"})
    for answer, exit_code in (("n", 2), ("y", 0)):
        told = CliRunner().invoke(app, ["init"], input=f"{answer}\n")
        assert "Change conftest.py as shown?" in told.output
        assert told.exit_code == exit_code
        assert Path("benchmarks").is_dir() == (answer == "y")


def test_where_it_can_t_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In no repository, in a folder within one, in none, in a bare one, without git: a sentence each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert ". is in no git repository" in refused()
    assert "nosuch is not there" in refused("nosuch")
    subprocess.run(["git", "init", "--quiet", "a"], check=True)
    Path("a/sub").mkdir()
    assert "lies within the repository" in refused("a/sub")
    subprocess.run(["git", "init", "--quiet", "--bare", "b"], check=True)
    assert "b is in no git repository" in refused("b")
    Path("a/nets.py").touch()
    assert "nets.py would be imported instead of the suite" in refused("a")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git can't be run" in refused("a")


def test_paths_that_are_something_else(repository: Path) -> None:
    """A file, a link out of the repository or a submodule in the place of a folder; a folder in that of a file."""
    outside = repository.parent / "outside"
    outside.mkdir()
    Path("benchmarks").write_text("")
    assert "benchmarks is a file" in refused()
    Path("benchmarks").unlink()
    Path("benchmarks").symlink_to(outside)
    assert "benchmarks/conftest.py leads out of the repository" in refused()
    Path("benchmarks").unlink()
    Path(".gitignore").symlink_to(outside / "x")
    assert ".gitignore leads out of the repository" in refused()
    Path(".gitignore").unlink()
    git("init", "--quiet", "benchmarks")
    assert "benchmarks is a submodule" in refused()
    shutil.rmtree("benchmarks")
    Path("conftest.py").mkdir()
    assert "conftest.py is no file" in refused()
    Path("conftest.py").rmdir()
    Path(".gitignore").write_bytes(b"\xff\xfe")
    assert ".gitignore: it is no text in UTF-8" in refused()
    assert "--folder ../x: name a folder within the repository" in refused("--folder", "../x")
    assert list(outside.iterdir()) == []


@pytest.mark.usefixtures("repository")
def test_networks_that_are_not_there() -> None:
    """A file that is not in the repository, one without networks, a cell that nobody declares."""
    Path("empty.py").touch()
    assert "--nets nosuch.py: there is no such file" in refused("--nets", "nosuch.py")
    assert "it declares no network" in refused("--nets", "empty.py")
    assert "unknown cell 'digits-x'" in refused("--cells", "digits-x")


@pytest.mark.usefixtures("repository")
def test_without_write_access(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is written it is told which file can't be."""
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "workflows" not in str(path) and real(path, mode))
    Path(".github/workflows").mkdir(parents=True)
    assert ".github/workflows/gpu-gate.yml: no write access to" in refused()


@pytest.mark.usefixtures("repository")
def test_what_git_ignores_is_told() -> None:
    """Files that git would not add are named."""
    commit({".gitignore": "/benchmarks/\n"})
    assert "git ignores benchmarks/conftest.py, " in init("--yes").stderr


def outcomes(*arguments: str) -> Ran:
    """A pytest of the repository's own."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-rA", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("PASSED", "FAILED", "ERROR", "SKIPPED"))]
    return Ran(done.returncode, "\n".join(sorted(lines)), done.stdout + done.stderr)


def test_a_repository_with_a_pytest_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tests have the same outcome before and after, and a plain `pytest` trains no cell; one that names it does.

    It has options of its own, a fixture named as one of the suite's, every warning an error, strict markers,
    `pythonpath`, and tests beside the code.
    """
    made(tmp_path, monkeypatch)
    commit(
        {
            "pytest.ini": "[pytest]\naddopts = --strict-markers --strict-config\nxfail_strict = true\n"
            "filterwarnings = error\nmarkers = slow: takes long\npythonpath = lib\n"
            "python_files = test_*.py check_*.py\n",
            "conftest.py": "import pytest\n\n\ndef pytest_addoption(parser):\n    parser.addoption('--fast')\n\n\n"
            "@pytest.fixture\ndef data():\n    return 7\n",
            "lib/code.py": "def double(x):\n    return 2 * x\n",
            "lib/check_code.py": "from code_of import double\n\n\ndef test_a(data):\n    assert double(data) == 14\n",
            "lib/code_of.py": "def double(x):\n    return 2 * x\n",
            "tests/test_b.py": "import pytest\n\n\n@pytest.mark.slow\ndef test_b(request):\n"
            "    assert request.config.getoption('--fast') is None\n\n\ndef test_fails():\n    assert 0\n",
            "benchmarks/test_theirs.py": "def test_theirs():\n    pass\n",
        }
    )
    before = outcomes()
    assert before.exit_code == 1
    assert before.output.count("PASSED") == 3
    done = init("--yes")
    assert done.exit_code == 0, done.stderr
    after = outcomes()
    assert (after.exit_code, after.output) == (before.exit_code, before.output), after.stderr
    named = outcomes("benchmarks", "--collect-only", "-q", "--cells", "digits-lenet5")
    assert "test_train_eval[digits-lenet5]" in named.stderr
    assert "test_theirs" in named.stderr


def test_an_option_that_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the repository has an option of the suite's name, its pytest would end: nothing is written."""
    made(tmp_path, monkeypatch)
    commit({"conftest.py": "def pytest_addoption(parser):\n    parser.addoption('--seed')\n"})
    told = refused("--yes")
    assert "pytest would no longer start here" in told
    assert "--seed" in told


def test_what_is_written_is_sound(repository: Path) -> None:
    """The workflows for another repository fit GitHub's schema, and zizmor finds nothing."""
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not among the oldest dependencies")
    commit({".gitmodules": "", "pyproject.toml": "[project]\n", "own.py": OWN})
    assert init("--nets", "own.py", "--folder", "bench").exit_code == 0
    workflows = sorted(map(str, Path(".github/workflows").iterdir()))
    for command in (
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows],
        ["zizmor", "--offline", "--pedantic", "--strict-collection", ".github"],
    ):
        program = str(Path(sys.executable).with_name(command[0]))
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert CHECKOUT == REPOSITORY
