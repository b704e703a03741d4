"""Where a revision is run: with real git, in hooks too, and after runs that were killed."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nets
from nets.ab import leftovers, worktree
from nets.ab.leftovers import FOLDER_PREFIX, held
from nets.ab.worktree import checked_out
from nets.errors import Unusable
from tests.support.repositories import commit, git, made, nothing_left

SOURCES = Path(nets.__file__).parents[1]
CALL = 'from nets.ab.worktree import checked_out\nwith checked_out("HEAD", "."): pass'
HOOK = f"#!/bin/sh\nPYTHONPATH={SOURCES} exec {sys.executable} -c '{CALL}'\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That one stands in, with two commits."""
    path = made(tmp_path, monkeypatch)
    git("config", "user.name", "x")
    git("config", "user.email", "x@example.com")
    commit({"a": "1", "b": "1"})
    commit({"a": "2", "sub/c": "1"})
    return path


def state(repository: Path) -> list[tuple[str, bytes]]:
    """What git's folder holds but objects: index, configuration, references, worktrees."""
    files = sorted(path for path in (repository / ".git").rglob("*") if path.is_file() and "objects" not in path.parts)
    return [(str(path), path.read_bytes()) for path in files]


def killed(*revisions: str) -> None:
    """A run whose process ends without a farewell: its locks go, all else stays."""
    pid = os.fork()
    if pid == 0:
        with checked_out(*revisions):
            os._exit(0)
    os.waitpid(pid, 0)


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("arguments", [("-a",), ("--only", "b")])
def test_a_commit_hook(
    repository: Path, monkeypatch: pytest.MonkeyPatch, linked: bool, arguments: tuple[str, ...]
) -> None:
    """A pre-commit hook that checks revisions out leaves the commit with exactly what its user changed."""
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK)
    hook.chmod(0o755)
    if linked:
        git("worktree", "add", "--quiet", "../linked")
        monkeypatch.chdir("../linked")
    Path("b").write_text("2")
    git("commit", "--quiet", "-m", "y", *arguments)
    assert git("show", "--name-only", "--format=", "HEAD").split() == ["b"]
    assert git("status", "--porcelain") == ""
    monkeypatch.chdir(repository)
    if linked:
        git("worktree", "remove", "../linked")
    nothing_left(repository)


def test_git_is_called_in_one_place() -> None:
    """Every call of git in the package goes through `nets.records.git`, which takes a hook's variables away."""
    calling = set()
    for path in Path(nets.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.List | ast.Tuple):
                continue
            match node.elts:
                case [ast.Constant(value="git"), ast.Constant() | ast.Starred(), *_]:
                    calling.add(path.name)
    assert calling == {"git.py"}


def test_the_repository_is_as_before(repository: Path) -> None:
    """Neither the index, though a file's time has changed, nor configuration nor references are written to."""
    os.utime("a", (1, 1))
    before = state(repository)
    with checked_out("HEAD~1", "HEAD") as (base, head):
        assert [Path(each.folder, "a").read_text() for each in (base, head)] == ["1", "2"]
        listed = git("worktree", "list", "--porcelain")
        assert listed.count(f"locked nets ab {os.getpid()} ") == 2
        git("worktree", "prune")
        assert git("worktree", "list", "--porcelain") == listed
    assert state(repository) == before
    nothing_left(repository)


def test_killed_runs_are_swept(repository: Path) -> None:
    """The next start removes worktrees and folders of a killed run, and no living run's and nobody else's."""
    git("worktree", "add", "--quiet", "--lock", "--reason", "mine", "../theirs", "--detach")
    git("worktree", "add", "--quiet", "--lock", "../nets ab 1 host", "--detach")
    others = git("worktree", "list")
    killed("HEAD~1", "HEAD")
    assert len(git("worktree", "list").splitlines()) == 5
    with checked_out("HEAD", ".") as (first, _):
        killed("HEAD~1", "HEAD")
        with checked_out("HEAD~1", ".") as (second, _):
            assert len(git("worktree", "list").splitlines()) == 5
            assert first.folder.is_dir()
            assert second.folder.is_dir()
    assert git("worktree", "list") == others
    assert not list(Path(os.environ["TMPDIR"]).glob("nets-ab-*"))


def unlinked(admin: Path, folder: Path) -> None:
    """As git leaves it when it is killed before it has written where the worktree is."""
    shutil.rmtree(folder)
    (admin / "gitdir").unlink()


def initializing(admin: Path, folder: Path) -> None:
    """As git leaves it when it is killed while it writes the files."""
    (admin / "locked").write_text("initializing\n")
    (admin / "index").unlink()


def half_removed(admin: Path, folder: Path) -> None:
    """As git leaves it when it is killed while it removes the files."""
    (folder / ".git").unlink()


def without_folder(admin: Path, folder: Path) -> None:
    """After a restart that emptied the folder for temporary files."""
    shutil.rmtree(folder.parent)


@pytest.mark.parametrize("left", [unlinked, initializing, half_removed, without_folder])
def test_half_made_worktrees_are_swept(repository: Path, left: Callable[[Path, Path], None]) -> None:
    """At whatever moment git was killed, the next start removes what it left."""
    killed("HEAD", ".")
    (admin,) = (repository / ".git" / "worktrees").glob("*")
    folder = leftovers.worktree_of(admin)
    assert folder is not None
    left(admin, folder)
    with checked_out("HEAD", "."):
        assert not folder.exists()
    assert not (repository / ".git" / "worktrees").exists()
    nothing_left(repository)


def test_other_folders_stay(repository: Path) -> None:
    """Beside ours, what only has such a name stays: a link, a file, and a folder that somebody holds."""
    temporary = Path(os.environ["TMPDIR"])
    for name in ("held", "free"):
        (temporary / f"{FOLDER_PREFIX}{name}").mkdir()
    (temporary / f"{FOLDER_PREFIX}link").symlink_to(repository)
    os.mkfifo(temporary / f"{FOLDER_PREFIX}pipe")
    with held(temporary / f"{FOLDER_PREFIX}held") as is_held, leftovers.own_folder() as own:
        assert is_held
        names = {path.name.removeprefix(FOLDER_PREFIX) for path in temporary.iterdir() if path != own}
    assert names == {"held", "link", "pipe"}
    assert Path("a").is_file()


def test_two_starts_at_once(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run's sweep, begun between git's making of a worktree and our lock of it, waits and takes nothing."""
    found = []
    admin = worktree._admin

    def sweeping(folder: Path) -> Path:
        pid = os.fork()
        if pid == 0:
            with held(repository / ".git") as is_free:
                os._exit(int(is_free))
        found.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        return admin(folder)

    monkeypatch.setattr(worktree, "_admin", sweeping)
    with checked_out("HEAD", ".") as (base, _):
        assert base.folder.is_dir()
    assert found[0] == 0


def test_submodules(repository: Path, tmp_path: Path) -> None:
    """Each worktree has the submodule, and its own, at its revision's commit; one that is not here is told of."""
    allow = ("-c", "protocol.file.allow=always")
    for name in ("inner", "outer"):
        subprocess.run(["git", "clone", "--quiet", ".", str(tmp_path / name)], check=True)
    inside = f"cd {tmp_path}/outer && git -c user.name=x -c user.email=x@x {' '.join(allow)}"
    subprocess.run(f"{inside} submodule --quiet add {tmp_path}/inner deep", shell=True, check=True)
    subprocess.run(f"{inside} commit --quiet -m x", shell=True, check=True)
    git(*allow, "submodule", "--quiet", "add", str(tmp_path / "outer"), "my module")
    commit({})
    git(*allow, "submodule", "--quiet", "update", "--init", "--recursive")
    shutil.rmtree(tmp_path / "inner")
    shutil.rmtree(tmp_path / "outer")
    before = state(repository)
    with checked_out("HEAD", "HEAD~1") as (base, head):
        assert (base.folder / "my module" / "deep" / "a").read_text() == "2"
        assert not (head.folder / "my module").exists()
        assert base.absent == head.absent == ()
    assert state(repository) == before
    git("submodule", "--quiet", "deinit", "--all")
    with checked_out("HEAD", ".") as (base, _):  # git's folder still has it
        assert (base.folder / "my module" / "deep" / "a").read_text() == "2"
    shutil.rmtree(repository / ".git" / "modules" / "my module" / "modules")
    with checked_out("HEAD", ".") as (base, _):
        assert [each[:28] for each in base.absent] == ["its submodule my module/deep"]
    shutil.rmtree(repository / ".git" / "modules")
    with checked_out("HEAD", ".") as (base, _):
        assert [each[:25] for each in base.absent] == ["its submodule my module ("]
    nothing_left(repository)


def refused(*revisions: str) -> str:
    """Why they can't be checked out."""
    with pytest.raises(Unusable) as error, checked_out(*revisions):
        pass
    return str(error.value)


def test_a_folder_that_base_has_not(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called from a folder that a revision lacks, it says so, not that an interpreter can't be run."""
    monkeypatch.chdir("sub")
    assert "HEAD~1 has no folder sub: " in refused("HEAD~1", "HEAD")
    monkeypatch.chdir(repository)
    nothing_left(repository)


def test_repositories_without_the_revision(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare, shallow, unborn, somebody else's, or no git at all: each by its name."""
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{repository}", "../shallow"], check=True)
    subprocess.run(["git", "clone", "--quiet", "--bare", ".", "../bare"], check=True)
    subprocess.run(["git", "init", "--quiet", "../unborn"], check=True)
    assert refused("nosuch", "HEAD") == "there is no revision nosuch here"
    monkeypatch.chdir("../shallow")
    assert "this is a shallow clone, which may have to fetch it first" in refused("HEAD~1", "HEAD")
    monkeypatch.chdir("../bare")
    for revisions in (("HEAD", "."), ("HEAD~1", "HEAD")):
        assert "must be run in a work tree" in refused(*revisions)
    monkeypatch.chdir("../unborn")
    assert "the repository has no commit yet" in refused("HEAD", ".")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert "detected dubious ownership" in refused("HEAD", ".")
    for name, value in (("COUNT", "1"), ("KEY_0", "safe.directory"), ("VALUE_0", "*")):  # as a CI says it
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert "the repository has no commit yet" in refused("HEAD", ".")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused("HEAD", ".") == "git can't be run: No such file or directory"
