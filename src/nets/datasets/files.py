"""The files of a data set: plain ones alone, in an order that no locale and no file system changes.

A link may lead in a circle or out of the data set, and a pipe or a device may never end: an image is none of them. What
is refused is an OSError whose `strerror` completes the sentence "FILE can't be read: ...".
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

CHANGED = "was changed while it was in use; leave it alone until the run is over"
"""What a message says of a file whose stamp is no longer what it was."""


class Stamp(NamedTuple):
    """What differs once a file was altered or replaced."""

    device: int
    inode: int
    n_bytes: int
    changed_ns: int


_KINDS = {
    stat.S_IFLNK: "a link, which is not followed",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_plain(path: Path, *, links: bool = False) -> BufferedReader:
    """A plain file, opened to be read. `links`: it may be reached through a link. Raises OSError for anything else.

    It is looked at before it is opened, since to open a pipe waits, and again when it is open, since another may lie in
    its place by then.
    """
    _refuse(path, path.stat(follow_symlinks=links).st_mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if links else os.O_NOFOLLOW))
    try:
        _refuse(path, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def stamp(found: os.stat_result) -> Stamp:
    """The stamp of a file that was looked up."""
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def unchanged(path: Path, before: Stamp) -> bool:
    """Whether a path's file, through links, still has the stamp that it had."""
    try:
        return stamp(path.stat()) == before
    except OSError:
        return False


def entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """The folders and plain files in a folder, by the bytes of their names; hidden ones (`.name`) are passed over.

    Raises OSError for anything else in it, and where it can't be read.
    """
    with os.scandir(folder) as scanned:
        found = [entry for entry in scanned if not entry.name.startswith(".")]
    for entry in found:
        if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
            _refuse(entry.path, entry.stat(follow_symlinks=False).st_mode)
    return sorted(found, key=lambda entry: os.fsencode(entry.name))


def files_below(folder: str) -> list[str]:
    """The paths of all plain files in a folder and in those within it: by the bytes of the folder, then of the name.

    Raises OSError as `entries` does.
    """
    found: list[str] = []
    folders = [folder]
    while folders:
        for entry in entries(folders.pop()):
            (folders if entry.is_dir(follow_symlinks=False) else found).append(entry.path)
    return sorted(found, key=lambda path: [os.fsencode(part) for part in os.path.split(path)])


def shown(text: str | Path) -> str:
    """A path or a message for one line: as it is, or as Python writes it where it has unprintable characters."""
    return str(text) if str(text).isprintable() else repr(str(text))


def _refuse(path: str | Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}; put a file in its place, or remove it", str(path))
