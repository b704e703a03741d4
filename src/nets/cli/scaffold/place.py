"""The repository that `nets init` writes into: what it must be, what pip installs there, and whether pytest starts."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from nets import __version__
from nets.errors import Unusable
from nets.records.git import git, outside_variables

HIDING = ("nets/__init__.py", "nets.py")
"""In a repository's root, they would be imported instead of the suite."""


def repository(folder: Path) -> Path:
    """The root of the git repository, which the folder must be. Raises Unusable."""
    if not folder.is_dir():
        raise Unusable(f"{folder} is {'not a folder' if folder.exists() else 'not there'}: name a repository's root")
    root = folder.resolve()
    try:
        found = git("rev-parse", "--show-toplevel", folder=root)
    except Unusable as error:
        if "can't be run" in str(error):
            raise
        raise Unusable(f"{folder} is in no git repository ({error}): run `git init` there first") from error
    if Path(found).resolve() != root:
        raise Unusable(f"{folder} lies within the repository {found}: run nets init there, where pytest and CI start")
    for name in HIDING:
        if (root / name).exists():
            raise Unusable(f"{root / name} would be imported instead of the suite `nets`: rename it first")
    return root


def demand_inside(root: Path, names: Iterable[str]) -> None:
    """Refuse what a link leads out of the repository, what lies in a submodule, what is no file. Raises Unusable."""
    for name in names:
        path = root / name
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(root):
            raise Unusable(f"{name} leads out of the repository, to {real}: nets init writes nothing there")
        for parent in path.relative_to(root).parents:
            if (at := root / parent) == root:
                continue
            if at.exists() and not at.is_dir():
                raise Unusable(f"{parent} is a file, and has to be a folder for {name}: name another one (--folder)")
            if (at / ".git").exists():
                raise Unusable(f"{parent} is a submodule, or a repository of its own: name another folder (--folder)")
        if path.exists() and not path.is_file():
            raise Unusable(f"{name} is no file: move it away, then run nets init again")


def demand_writable(root: Path, names: Iterable[str]) -> None:
    """Refuse before anything is written where one of the files could not be. Raises Unusable."""
    for name in names:
        nearest = next(parent for parent in (root / name).parents if parent.is_dir())
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise Unusable(f"{name}: no write access to {nearest}; nothing is written")


def uncommitted(root: Path, names: Iterable[str]) -> list[str]:
    """Those of the files whose present content no commit has, so that writing over them would lose it."""
    there = [name for name in names if (root / name).exists()]
    if not there:
        return []
    try:
        changed = git("diff", "--name-only", "-z", "HEAD", "--", *there, folder=root).split("\0")
    except Unusable:  # there is no commit yet
        return there
    unknown = git("ls-files", "--others", "-z", "--", *there, folder=root).split("\0")
    return [name for name in there if name in (*changed, *unknown)]


def ignored(root: Path, names: Iterable[str]) -> list[str]:
    """Those of the files that git ignores, and would not add."""
    with suppress(Unusable):  # exit 1: none
        return git("-c", "core.quotePath=false", "check-ignore", "--no-index", *names, folder=root).splitlines()
    return []


def installs(root: Path) -> str:
    """What pip installs in the workflow: this version of the suite, the repository itself, its requirements."""
    parts = [f"'pytest-nets=={__version__}'"]
    if (root / "setup.py").is_file() or _is_project(root / "pyproject.toml"):
        parts.append("-e .")
    if (root / "requirements.txt").is_file():
        parts.append("-r requirements.txt")
    return " ".join(parts)


def _is_project(path: Path) -> bool:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return "project" in table or "build-system" in table


def clash(root: Path) -> str | None:
    """Why pytest, which starts in the repository, would no longer start with the suite; None where it does.

    It loads the repository's conftest.py, as any pytest there does.
    """
    with_suite = _last_error(root, "-p", "nets.plugin")
    if with_suite is None or _last_error(root) is not None:
        return None
    return with_suite


def _last_error(root: Path, *arguments: str) -> str | None:
    """The last line of a pytest that does not start; None for one that does."""
    command = [sys.executable, "-m", "pytest", *arguments, "-p", "no:cacheprovider", "--help"]
    environment = {**outside_variables(), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
    )
    if done.returncode == 0:
        return None
    lines = [line for line in (*done.stdout.splitlines(), *done.stderr.splitlines()) if line.strip()]
    return lines[-1].strip() if lines else f"exit {done.returncode}"
