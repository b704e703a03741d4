"""A machine where the workflows' steps run, and a user beside ours, as `.ci/as-nets-code` needs one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.suite import REPOSITORY
from tests.support.workflows import SHA, Machine

GH = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> calls.txt
for word; do case $word in body=@*) cp "${word#body=@}" body.txt ;; esac; done
case "$*" in *pulls/7*) cat answer-pull.txt ;; *--paginate*) cat answer-comments.txt ;; esac
"""
SUDO = """#!/bin/sh
case "$*" in
    *" --user nets-code -- "*)
        shift 5
        exec {root} env HOME={home} setpriv --reuid {uid} --regid {uid} --clear-groups "$@" ;;
    *" pkill -KILL -U nets-code") exec {root} pkill -KILL -U {uid} ;;
    *) exit 1 ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with the recorder for its `gh`, in a pull request 7 whose head is SHA."""
    made = Machine(
        tmp_path,
        {
            "GITHUB_OUTPUT": str(tmp_path / "output.txt"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.txt"),
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_ACTOR": "ada",
            "GIT_CONFIG_GLOBAL": os.devnull,
        },
    )
    made.program("gh", GH)
    (tmp_path / "answer-pull.txt").write_text(f"{SHA} main\n")
    (tmp_path / "answer-comments.txt").write_text("")
    shutil.copytree(REPOSITORY / ".ci", tmp_path / ".ci")
    return made


@dataclass(frozen=True, slots=True)
class OtherUser:
    """A user id that nothing else on this machine has; `sudo` on the machine becomes it."""

    uid: int
    home: Path

    @property
    def repository(self) -> Path:
        """Where its commands run."""
        return self.home / "repository"

    def run(self, machine: Machine, script: str) -> int:
        """Run a script by `.ci/as-nets-code`, that kills or forks if it likes: as any other user it does nothing."""
        return machine.call([".ci/as-nets-code", "bash", "-c", f"[[ $UID == {self.uid} ]] || exit 99\n{script}"])

    def processes(self) -> list[str]:
        """Its processes that have not ended."""
        listed = subprocess.run(["ps", "-U", str(self.uid), "-o", "stat=,args="], capture_output=True, text=True)
        assert listed.returncode <= 1, listed.stderr
        return [line for line in listed.stdout.splitlines() if not line.startswith("Z")]


@pytest.fixture
def other_user(machine: Machine) -> Iterator[OtherUser]:
    """Another user, for whom root's rights are needed. Without them: skipped, but in CI they must be there."""
    uid = 20_000 + os.getpid() % 40_000
    root = [] if os.geteuid() == 0 else [shutil.which("sudo") or "sudo", "-n"]
    become = [*root, "setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
    if shutil.which(become[0]) is None or subprocess.run([*become, "true"], capture_output=True).returncode != 0:
        if os.environ.get("CI"):
            raise RuntimeError("root, or sudo without a password, is needed to run as another user")
        pytest.skip("neither root nor sudo without a password: can't run as another user")
    home = Path(tempfile.mkdtemp())
    home.chmod(0o755)
    user = OtherUser(uid, home / "home")
    subprocess.run([*root, "install", "-d", "-o", str(uid), "-g", str(uid), str(user.home)], check=True)
    machine.program("sudo", SUDO.format(root=" ".join(root), home=user.home, uid=uid))
    yield user
    while user.processes():
        subprocess.run([*become, "bash", "-c", "kill -KILL -1"], check=False)
        subprocess.run([*root, "pkill", "-KILL", "-U", str(uid)], check=False)
    subprocess.run([*root, "rm", "-rf", str(home)], check=True)
