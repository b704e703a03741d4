"""What `nets ab` refuses, and how it says so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nets.cli import ab_options
from nets.cli.app import app
from nets.records import durable
from tests.support.repositories import commit, git, made, nothing_left
from tests.support.without_torch import without_torch


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That one stands in."""
    return made(tmp_path, monkeypatch)


def ran(*arguments: str) -> Result:
    """Call the command."""
    return CliRunner().invoke(app, ["ab", *arguments])


def refused(*arguments: str) -> str:
    """Why a call is refused: exit 2, one line, no traceback."""
    done = ran(*arguments)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


@pytest.mark.usefixtures("forked_sides")
def test_a_cell_that_neither_knows(repository: Path) -> None:
    """A mistyped cell is refused, and nothing is measured."""
    commit(without_torch())
    done = ran("HEAD", "HEAD", "--cells", "a,z")
    assert done.exit_code == 2
    assert "--cells: there is no such cell" in done.stderr
    assert "looks after" not in done.output
    nothing_left(repository)


@pytest.mark.usefixtures("forked_sides")
def test_two_tests_of_one_cell(repository: Path) -> None:
    """Two tests that measure one cell can't be told apart later, which the first sitting shows."""
    files = without_torch(0.01)
    commit({name: text.replace("('a',)", "('a', 'c')") for name, text in files.items()})
    done = ran("HEAD", "HEAD")
    assert done.exit_code == 2
    assert "name one test with --tests" in done.stderr
    assert "sitting 2" not in done.output
    nothing_left(repository)


def test_an_output_that_another_run_writes(repository: Path) -> None:
    """A second run with the same --out is refused while the first one lives."""
    commit(without_torch())
    out = Path("nets-ab").absolute()
    with durable.sole_writer(out / "head.json", "--out"):
        assert "--out: another run, not ended yet, is to write" in refused("HEAD", "HEAD")
    nothing_left(repository)


@pytest.mark.usefixtures("forked_sides")
def test_an_earlier_output_stays_until_there_is_a_new_one(repository: Path) -> None:
    """A run that measures nothing leaves the files of the run before, and doesn't judge them."""
    commit({name: text.replace("('a',)", "()") for name, text in without_torch().items()})
    Path("nets-ab").mkdir()
    for side in ("base", "head"):
        Path("nets-ab", f"{side}.json").write_text(side)
    assert "left no JSON file" in refused("HEAD", "HEAD")
    assert [Path("nets-ab", f"{side}.json").read_text() for side in ("base", "head")] == ["base", "head"]
    nothing_left(repository)


def test_an_absent_submodule_is_refused(repository: Path) -> None:
    """Before anything is measured the side without its submodule is refused by name, with what to do."""
    commit({name: text.replace("('a',)", "()") for name, text in without_torch().items()})
    Path("x").mkdir()
    Path(".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = ../nosuch\n')
    git("update-index", "--add", "--cacheinfo", f"160000,{git('rev-parse', 'HEAD').strip()},x")
    git("add", ".gitmodules")
    git("commit", "--quiet", "-m", "x")
    for side, revisions in (("base", ("HEAD", "HEAD~1")), ("head", ("HEAD~1", "HEAD"))):
        told = refused(*revisions)
        assert f"{side}: its submodule x (" in told
        assert "git submodule update --init" in told
    nothing_left(repository)


def test_own_networks(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side is told of a file by its place from the folder of the call, however it was named; of a module as it is.

    What lies in no revision is named whole, and has to be there.
    """
    commit({"own/x.py": "", "sub/y.py": ""})
    monkeypatch.chdir("sub")
    (outside := repository.parent / "outside.py").touch()
    given = ["../own/x.py", str(repository / "sub" / "y.py"), "mine.nets", "../../outside.py"]
    how = ab_options._arguments("t", [*map(ab_options._network, given)], {}, Path("data"), [])
    assert how[3:] == ("--nets=../own/x.py", "--nets=y.py", "--nets=mine.nets", f"--nets={outside}")
    assert "--nets: ../../nosuch.py: there is no such file" in refused("HEAD", "HEAD", "--nets", "../../nosuch.py")


@pytest.mark.usefixtures("forked")
def test_a_file_of_networks_that_one_side_lacks(repository: Path) -> None:
    """It is that side's pytest that says so, and the side is named."""
    commit({"conftest.py": 'pytest_plugins = ["nets.plugin"]\n', "benchmarks/test_x.py": "def test_x(cell_run): ...\n"})
    commit({"own.py": ""})
    assert "base: its pytest ended" in (told := refused("HEAD~1", "HEAD", "--nets", "own.py"))
    assert "--nets: own.py: there is no such file" in told
    nothing_left(repository)


@pytest.mark.usefixtures("folder")  # whose pytest loads no conftest.py
@pytest.mark.parametrize(
    ("command", "option", "is_hinted"),
    [
        (["ab", "a", "b", "--epochs", "1"], "--epochs", True),
        (["bisect-step", "a", "-k", "x"], "-k", True),
        (["bisect", "a", "b", "--nosuch"], "--nosuch", False),
        (["gate", "a", "b", "--epochs", "1"], "--epochs", False),
    ],
)
def test_an_option_of_pytest_before_the_dashes(command: list[str], option: str, is_hinted: bool) -> None:
    """A wrong option that pytest has is met with where such options go."""
    done = CliRunner().invoke(app, command)
    assert f"No such option: {option}" in done.stderr
    assert ("those go after `--`" in done.stderr) == is_hinted


def test_refused_revisions(repository: Path) -> None:
    """A revision that does not exist, that is an option, or that the working tree has changes to."""
    commit(without_torch())
    assert "there is no revision nosuch here" in refused("nosuch", "HEAD")
    assert "there is no revision --upload-pack=x here" in refused("HEAD", "--", "--upload-pack=x")
    assert "the same working tree" in refused(".", ".")
    Path("conftest.py").write_text("x")
    assert "changes that HEAD has not (conftest.py)" in refused("HEAD", "HEAD")
    nothing_left(repository)


def test_refused_options(repository: Path) -> None:
    """Interpreters that are none or lack nets, folders that are none, pytest's options that it sets itself."""
    commit(without_torch())
    assert "No such file or directory" in refused("HEAD", "HEAD", "--python-a", "nosuch")
    bare = Path("bare")
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    assert "can't import what it needs: ModuleNotFoundError" in refused("HEAD", "HEAD", "--python-b", "./bare")
    for data_dir in ("nosuch", "~nosuch/x"):
        assert f"--data-dir: {data_dir} is not a folder" in refused("HEAD", "HEAD", "--data-dir", data_dir)
    assert "--rounds: not for pytest within nets ab" in refused("HEAD", "HEAD", "--", "--rounds=3")
    assert "--out: " in refused("HEAD", "HEAD", "--out", "conftest.py")
    assert "nosuch/x.md: the folder nosuch does not exist" in refused("HEAD", "HEAD", "--markdown", "nosuch/x.md")
    assert "would be written over" in refused("HEAD", "HEAD", "--json", "nets-ab/base.json")
    assert "--allow speed: unknown" in refused("HEAD", "HEAD", "--allow", "speed")
    assert "6 sittings can't decide one cell: it takes at least 7" in refused("HEAD", "HEAD", "--max-sittings", "6")
    assert "at most 1,000 rounds" in refused("HEAD", "HEAD", "--max-sittings", "101", "--restart-every", "10")
    nothing_left(repository)


def test_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Revisions need a repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not a git repository" in refused("main", "HEAD")
