"""Temporary folders and worktrees of a run: held while it lives, and removed at the next start where it was killed.

What is held is locked by flock(2), which ends with its process however that ends, and which no other process takes for
alive because its process id was given out anew. Where a file system knows no such locks, nothing is swept.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from nets.errors import Unusable
from nets.records.git import git

FOLDER_PREFIX = "nets-ab-run-"
_OUR_REASON = re.compile(r"nets ab \d+ \S+ \S+")
_OUR_PATH = re.compile(rf"{FOLDER_PREFIX}[^/]+/[ab]-[0-9a-f]{{12}}/\.git")
_GITS_REASONS = ("initializing", "added with --lock")


def lock_reason() -> str:
    """Why a worktree is locked, for a person: our name, process id, host, and when it was made."""
    return f"nets ab {os.getpid()} {socket.gethostname()} {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


@contextmanager
def held(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a file or folder as long as this process lives, or the block lasts; False where another one holds it.

    `wait`: until the other one lets it go. False, too, where it is not there, or can't be locked.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe of that name would never open
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            is_held = path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor))
        except OSError:
            is_held = False
        yield is_held
    finally:
        os.close(descriptor)


@contextmanager
def own_folder() -> Iterator[Path]:
    """A temporary folder that is removed at the end, or at the next start; those of killed runs are removed first."""
    _sweep_folders(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    try:
        with held(folder, wait=True):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep_folders(parent: Path) -> None:
    for folder in parent.glob(f"{FOLDER_PREFIX}*"):
        with suppress(OSError), held(folder) as is_ours:
            if is_ours and folder.is_dir() and folder.stat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)


def sweep_worktrees(common: Path, tree: Path) -> None:
    """Remove worktrees of runs that were killed, also half-made ones, from the repository with that common git folder.

    Only a locked one is ours, with our reason, or one of git's in a folder of ours; `tree`: where git is called.
    """
    for admin in (common / "worktrees").glob("*"):
        with held(admin / "locked") as is_free:
            if is_free and _is_ours(admin):
                remove_worktree(admin, worktree_of(admin), tree)


def _is_ours(admin: Path) -> bool:
    try:
        reason = (admin / "locked").read_text(errors="replace").strip()
    except OSError:
        return False
    folder = worktree_of(admin)
    in_ours = folder is not None and _OUR_PATH.search(f"{folder}/.git") is not None
    return _OUR_REASON.fullmatch(reason) is not None or (reason in _GITS_REASONS and in_ours)


def worktree_of(admin: Path) -> Path | None:
    """The folder of a worktree, by git's folder for it; None where git was killed before it wrote that."""
    try:
        return (admin / os.fsdecode((admin / "gitdir").read_bytes().rstrip(b"\n"))).parent
    except OSError:
        return None


def remove_worktree(admin: Path | None, folder: Path | None, tree: Path) -> None:
    """Remove a locked worktree by git, and by hand where git can't: one that is half made, or half removed."""
    if folder is not None:
        with suppress(Unusable):
            git("worktree", "remove", "--force", "--force", str(folder), folder=tree)
        if _OUR_PATH.search(f"{folder}/.git"):
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                folder.parent.rmdir()
    if admin is not None and admin.exists():
        shutil.rmtree(admin, ignore_errors=True)
        with suppress(OSError):
            admin.parent.rmdir()
