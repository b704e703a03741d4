"""What git says of a folder, asked without the variables by which a hook ties git to another repository."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from nets.errors import Unusable

_OF_A_REPOSITORY = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS",
    "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE", "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
)  # fmt: skip
"""What `git rev-parse --local-env-vars` lists, and git's quarantine of a push.

Not GIT_CONFIG_COUNT and its like, by which a CI says that a folder is safe: no hook sets them.
"""


_FULL_ID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def outside_variables(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment (default: this process's) without what a hook, or `git commit -a`, says of its repository."""
    given = os.environ if environment is None else environment
    return {name: value for name, value in given.items() if name not in _OF_A_REPOSITORY}


def git(
    *arguments: str, folder: Path | None = None, given: str | None = None, may_fetch: bool = True,
    timeout_s: float | None = None,
) -> str:  # fmt: skip
    """The output of a git command in a folder (default: the current one). Raises Unusable with git's own message.

    `may_fetch`: whether a partial clone may ask its server. The index is not written to where git only looks, and a
    Ctrl-C reaches this process alone.
    """
    variables = outside_variables() | {"GIT_OPTIONAL_LOCKS": "0"} | ({} if may_fetch else {"GIT_NO_LAZY_FETCH": "1"})
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=variables, input=given, timeout=timeout_s,
            capture_output=True, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise Unusable(f"git can't be run: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise Unusable(f"git {' '.join(arguments[:4])}: no answer for {timeout_s:g} s") from None
    if done.returncode:
        because = " ".join(done.stderr.split()) or f"exit {done.returncode}"
        raise Unusable(f"git {' '.join(arguments[:4])}: {because}")
    return done.stdout.strip()


def subject_of(commit: str | None, folder: Path | None = None) -> str | None:
    """The first line of a commit's message; None where it is no full id, or the repository doesn't know it."""
    if commit is None or not _FULL_ID.fullmatch(commit):
        return None
    try:
        return git("log", "-1", "--format=%s", commit, folder=folder, may_fetch=False, timeout_s=10) or None
    except Unusable:
        return None


@cache
def changes_sha256(folder: Path) -> str | None:
    """SHA-256 of what the folder's tracked files differ by from the commit; None where that can't be told, or nothing.

    Looked up once a process: of the start, when the code was read.
    """
    try:
        changes = git("diff", "HEAD", "--binary", "--submodule=diff", "--no-ext-diff", "--no-textconv", folder=folder)
    except Unusable:
        return None
    return hashlib.sha256(changes.encode(errors="replace")).hexdigest() if changes else None
