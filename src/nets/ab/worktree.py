"""What is compared: revisions of the repository, each in a worktree of its own, or the working tree."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nets.errors import Unusable

WORKING_TREE = "."


@dataclass(frozen=True, slots=True)
class Checkout:
    """A revision as a person reads it, and the folder to run it in; the working tree is run where it is.

    `isolated_from`: as in `nets.ab.child.ChildSpec`; None for the working tree.
    """

    name: str
    folder: Path
    isolated_from: tuple[Path, Path] | None


@contextmanager
def checked_out(*revisions: str) -> Iterator[tuple[Checkout, ...]]:
    """A folder for each revision; the worktrees are removed at the end, whatever happens.

    Raises Unusable for a revision that does not exist, and for the current one if the working tree differs from it,
    since the changes are probably meant to be measured.
    """
    commits = [None if revision == WORKING_TREE else _commit(revision) for revision in revisions]
    if any(commits) and WORKING_TREE not in revisions:
        _demand_clean(revisions, commits)
    here = Path(_git("rev-parse", "--show-prefix")) if any(commits) else Path()
    tree = Path(_git("rev-parse", "--show-toplevel")) if any(commits) else Path()
    made: list[Path] = []
    with tempfile.TemporaryDirectory(prefix="nets-ab-", ignore_cleanup_errors=True) as parent:
        try:
            checkouts = []
            for i, (revision, commit) in enumerate(zip(revisions, commits, strict=True)):
                if commit is None:
                    checkouts.append(Checkout("the working tree", Path.cwd(), None))
                else:
                    made.append(Path(parent) / f"{'ab'[i]}-{commit[:12]}")
                    no_hooks = ("-c", "core.hooksPath=/dev/null")
                    _git(*no_hooks, "worktree", "add", "--detach", "--quiet", str(made[-1]), commit)
                    apart = (tree.resolve(), made[-1].resolve())
                    checkouts.append(Checkout(f"{revision} ({commit[:12]})", made[-1] / here, apart))
            yield tuple(checkouts)
        finally:
            for folder in made:
                # not by _git: a failure must not keep the others from being removed, and Ctrl-C must not reach it
                command = ["git", "worktree", "remove", "--force", str(folder)]
                subprocess.run(command, capture_output=True, start_new_session=True)


def _commit(revision: str) -> str:
    try:
        return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except Unusable as error:
        _git("rev-parse", "--git-dir")  # raises git's message if this is no repository
        raise Unusable(f"there is no revision {revision} here; a shallow clone may have to fetch it first") from error


def _demand_clean(revisions: tuple[str, ...], commits: list[str | None]) -> None:
    head = _git("rev-parse", "--verify", "--quiet", "HEAD")
    dirty = _git("status", "--porcelain", "--untracked-files=no").splitlines()
    for revision, commit in zip(revisions, commits, strict=True):
        if commit == head and dirty:
            changed = dirty[0][2:].strip() + (f" and {len(dirty) - 1} more" if len(dirty) > 1 else "")
            raise Unusable(
                f"the working tree has changes that {revision} has not ({changed}): commit them, or name "
                f"`{WORKING_TREE}` to measure the working tree as it is"
            )


def _git(*arguments: str) -> str:
    """The output of a git command. Raises Unusable with git's own message."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise Unusable(f"git can't be run: {error.strerror}") from error
    if done.returncode:
        because = " ".join(done.stderr.split()) or f"exit {done.returncode}"
        raise Unusable(f"git {' '.join(arguments[:4])}: {because}")
    return done.stdout.strip()
