"""What is compared: revisions of the repository, each in a worktree of its own, or the working tree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from nets.ab.leftovers import held, lock_reason, own_folder, remove_worktree, sweep_worktrees
from nets.ab.submodules import NO_HOOKS, fill
from nets.errors import Unusable
from nets.records.git import git

WORKING_TREE = "."


class NoSuchFolder(Unusable):
    """A revision, `revision`, that lacks the folder of the call."""

    def __init__(self, revision: str, folder: Path) -> None:
        super().__init__(f"{revision} has no folder {folder}: call nets ab from one that both revisions have")
        self.revision = revision


@dataclass(frozen=True, slots=True)
class Checkout:
    """A revision as a person reads it, and the folder to run it in; the working tree is run where it is.

    `isolated_from`: as in `nets.ab.child.ChildSpec`; None for the working tree. `absent`: a sentence for each
    submodule that is not in the folder.
    """

    name: str
    folder: Path
    isolated_from: tuple[Path, Path] | None
    absent: tuple[str, ...] = ()


@contextmanager
def checked_out(*revisions: str) -> Iterator[tuple[Checkout, ...]]:
    """A folder for each revision; the worktrees are removed at the end, or at the next start if this one is killed.

    Raises Unusable for a revision that does not exist, and for the current one if the working tree differs from it,
    since the changes are probably meant to be measured; NoSuchFolder where it has not the folder of the call.
    """
    commits = [None if revision == WORKING_TREE else commit_of(revision) for revision in revisions]
    if any(commits) and WORKING_TREE not in revisions:
        _demand_clean(revisions, commits)
    with ExitStack() as stack:
        parent = stack.enter_context(own_folder())
        made = _Worktrees(parent, stack) if any(commits) else None
        checkouts = []
        for i, (revision, commit) in enumerate(zip(revisions, commits, strict=True)):
            if commit is None or made is None:
                checkouts.append(Checkout("the working tree", Path.cwd(), None))
            else:
                checkouts.append(made.add(f"{'ab'[i]}-{commit[:12]}", revision, commit))
        yield tuple(checkouts)


class _Worktrees:
    """Those of this run, locked, so that neither `git worktree prune` nor another run takes them."""

    def __init__(self, parent: Path, stack: ExitStack) -> None:
        """Remove those of killed runs; what is made is removed when `stack` ends."""
        self._parent, self._stack = parent, stack
        self._here = Path(git("rev-parse", "--show-prefix"))
        self._tree = Path(git("rev-parse", "--show-toplevel"))
        self._common = Path(git("rev-parse", "--git-common-dir")).resolve()
        with held(self._common, wait=True) as is_alone:
            if is_alone:
                sweep_worktrees(self._common, self._tree)

    def add(self, name: str, revision: str, commit: str) -> Checkout:
        """Make one."""
        folder = self._parent / name
        locked = ("--lock", "--reason", lock_reason())
        with held(self._common, wait=True):  # another run's sweep must not come between git's lock and ours
            self._stack.callback(self._remove, folder)
            git(*NO_HOOKS, "worktree", "add", "--detach", "--quiet", *locked, str(folder), commit)
            self._stack.enter_context(held(_admin(folder) / "locked"))
        absent = fill(folder, self._tree)
        if not (folder / self._here).is_dir():
            raise NoSuchFolder(revision, self._here)
        apart = (self._tree.resolve(), folder.resolve())
        name = commit[:12] if revision == commit else f"{revision} ({commit[:12]})"
        return Checkout(name, folder / self._here, apart, absent)

    def _remove(self, folder: Path) -> None:
        try:
            admin = _admin(folder)
        except Unusable:  # git was interrupted before it had made it
            admin = None
        remove_worktree(admin, folder, self._tree)


def _admin(folder: Path) -> Path:
    """Git's own folder for a worktree."""
    if not (folder / ".git").is_file():
        raise Unusable(f"{folder} is no worktree")
    return Path(git("rev-parse", "--absolute-git-dir", folder=folder))


def commit_of(revision: str) -> str:
    """A revision's commit. Raises Unusable if there is none."""
    try:
        return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except Unusable as error:
        git("rev-parse", "--git-dir")  # raises git's message if this is no repository
        raise Unusable(f"there is no revision {revision} here{_because()}") from error


def _because() -> str:
    """What may be the reason that a revision is not there."""
    if git("rev-parse", "--is-shallow-repository") == "true":
        return "; this is a shallow clone, which may have to fetch it first"
    return "" if git("rev-list", "--all", "-n", "1") else "; the repository has no commit yet"


def _demand_clean(revisions: tuple[str, ...], commits: list[str | None]) -> None:
    head = git("rev-parse", "--verify", "--quiet", "HEAD")
    dirty = git("status", "--porcelain", "--untracked-files=no").splitlines()
    for revision, commit in zip(revisions, commits, strict=True):
        if commit == head and dirty:
            changed = dirty[0][2:].strip() + (f" and {len(dirty) - 1} more" if len(dirty) > 1 else "")
            raise Unusable(
                f"the working tree has changes that {revision} has not ({changed}): commit them, or name "
                f"`{WORKING_TREE}` to measure the working tree as it is"
            )
