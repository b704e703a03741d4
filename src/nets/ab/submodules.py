"""A worktree's submodules, cloned from those that the repository has on this disk; nothing is fetched or configured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from nets.errors import Unusable
from nets.records.git import git

_GITLINK = "160000"
_REMEDY = "run `git submodule update --init --recursive` where that commit is checked out"
NO_HOOKS = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")


def fill(worktree: Path, repository: Path) -> tuple[str, ...]:
    """Fill the submodules of a worktree, theirs too, from those of `repository`, a working tree or a git folder.

    `git submodule update` would write into the repository's own configuration, and may ask a server. Returns a sentence
    for each submodule that is not there.
    """
    if not (worktree / ".gitmodules").is_file():
        return ()
    absent: list[str] = []
    for path, commit in _links(worktree):
        sources = [each for each in _sources(worktree, repository, path) if _has(each, commit)]
        folder = worktree / path
        if not sources or not folder.is_dir() or folder.resolve() != worktree.resolve() / path:
            absent.append(f"its submodule {path} ({commit[:12]}) is not on this disk: {_REMEDY}")
            continue
        try:
            git(*NO_HOOKS, "clone", "--quiet", "--shared", "--no-checkout", "--", str(sources[0]), str(folder))
            git(*NO_HOOKS, "checkout", "--quiet", "--detach", commit, folder=folder)
        except Unusable as error:
            absent.append(f"its submodule {path} can't be checked out: {error}")
            continue
        absent += [sentence.replace("submodule ", f"submodule {path}/", 1) for sentence in fill(folder, sources[0])]
    return tuple(absent)


def _links(worktree: Path) -> Iterator[tuple[str, str]]:
    """Path and commit of each submodule."""
    for line in git("ls-files", "--stage", "-z", folder=worktree).split("\0"):
        entry, _, path = line.partition("\t")
        if entry.startswith(f"{_GITLINK} "):
            yield path, entry.split()[1]


def _sources(worktree: Path, repository: Path, path: str) -> Iterator[Path]:
    """Where a clone of the submodule may lie: at its path, or, where it was moved or removed, in git's folder."""
    if (repository / path / ".git").exists():
        yield repository / path
    name = _name(worktree, path)
    if name is not None and ".." not in PurePosixPath(name).parts and not name.startswith("/"):
        for which in ("--git-dir", "--git-common-dir"):
            yield repository / git(*_at(repository), "rev-parse", which, folder=repository) / "modules" / name


def _name(worktree: Path, path: str) -> str | None:
    try:
        found = git("config", "-f", ".gitmodules", "-z", "--get-regexp", r"^submodule\..*\.path$", folder=worktree)
    except Unusable:
        return None
    pairs = (entry.partition("\n") for entry in found.split("\0"))
    names = [key.removeprefix("submodule.").removesuffix(".path") for key, _, value in pairs if value == path]
    return names[0] if names else None


def _has(repository: Path, commit: str) -> bool:
    if not repository.is_dir():
        return False
    try:
        git(*_at(repository), "cat-file", "-e", f"{commit}^{{commit}}", folder=repository, may_fetch=False)
    except Unusable:
        return False
    return True


def _at(repository: Path) -> tuple[str, ...]:
    """Options for a git folder whose working tree, which its configuration names, may have been removed."""
    return () if (repository / ".git").exists() else (f"--git-dir={repository}", f"--work-tree={repository}")
