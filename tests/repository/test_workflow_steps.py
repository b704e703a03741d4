"""The gate's steps do what they say: their scripts, run as GitHub runs them, beside a `gh` that notes its calls."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.workflows import step, workflow

SHA, BASE = "a" * 40, "b" * 40
RECORDER = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> calls.txt
for word; do case $word in body=@*) cp "${word#body=@}" body.txt ;; esac; done
case "$*" in *pulls/7*) cat answer-pull.txt ;; *--paginate*) cat answer-comments.txt ;; esac
"""


@dataclass
class Machine:
    """A folder where a step runs; `answers` is what GitHub says to `gh api` of the pull request and its comments."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, job_id: str, step_name: str, **environment: str) -> int:
        """Run a step's script by GitHub's command for `shell: bash`; its exit code."""
        found = step(name, job_id, step_name)
        assert (found.get("shell") or workflow(name)["defaults"]["run"]["shell"]) == "bash"
        names = {*found.get("env", {}), *workflow(name).get("env", {})}
        given = {"GH_TOKEN": "-", "RUN_URL": "https://run", "CELLS": "digits-lenet5"} | environment
        assert names <= {*given, "COLUMNS", "GPU_FACTS", "GH_REPO"}, "an environment that the step would not have"
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", found["run"]],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", **self.environment, **given},
            capture_output=True,
            text=True,
        )
        self.said = done.stdout + done.stderr
        return done.returncode

    def text(self, name: str) -> str:
        """What a file holds; nothing if it is not there."""
        path = self.folder / name
        return path.read_text(errors="replace") if path.is_file() else ""

    def git(self, *arguments: str) -> str:
        """Run git here."""
        return subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with the recorder for its `gh`, in a pull request 7 whose head is SHA."""
    (tmp_path / "gh").write_text(RECORDER)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "answer-pull.txt").write_text(f"{SHA} main\n")
    (tmp_path / "answer-comments.txt").write_text("")
    return Machine(
        tmp_path,
        {
            "GITHUB_OUTPUT": str(tmp_path / "output.txt"),
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_ACTOR": "ada",
            "GIT_CONFIG_GLOBAL": os.devnull,
        },
    )


def admit(machine: Machine, pull: str = "7", sha: str = SHA, accept: str = "") -> int:
    return machine.run(
        "gpu-gate.yml", "admit", "Compare with the pull request's head",
        PULL=pull, SHA=sha, ACCEPT=accept, DEFAULT_BRANCH="main",
    )  # fmt: skip


def test_the_head_is_admitted(machine: Machine) -> None:
    """The pull request's head is admitted: pending until it is measured."""
    assert admit(machine) == 0, machine.said
    assert f"statuses/{SHA} -f state=pending -f context=gpu-gate" in machine.text("calls.txt")


@pytest.mark.parametrize(("pull", "sha"), [("7", BASE), ("7", "main"), ("7", f"{SHA}\n-x"), ("7/../8", SHA), ("", SHA)])
def test_nothing_else_is_admitted(machine: Machine, pull: str, sha: str) -> None:
    """A commit that is no longer the head, and what is no commit or number at all, gets no status and is told why."""
    assert admit(machine, pull, sha) == 1
    assert "::error::" in machine.said
    assert "statuses" not in machine.text("calls.txt")


@pytest.mark.parametrize("accept", ["", "known"])
def test_another_base_is_not_admitted(machine: Machine, accept: str) -> None:
    """A pull request into another branch gets no status, which would hold for a merge into the default one as well."""
    (machine.folder / "answer-pull.txt").write_text(f"{SHA} release\n")
    assert admit(machine, accept=accept) == 1
    assert "::error::pull request 7 is for release" in machine.said
    assert "statuses" not in machine.text("calls.txt")


def test_accepted_by_name(machine: Machine) -> None:
    """A commit that is let pass unmeasured carries who did so and why."""
    assert admit(machine, accept="known: 4 % for the new loss $(touch here)") == 0
    status = "state=success -f context=gpu-gate -f description=accepted unmeasured by ada: known: 4 % for the new loss"
    assert status in machine.text("calls.txt")
    assert not (machine.folder / "here").exists()


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("success 0", "success"),
        ("failure 1", "failure"),
        ("failure 2", "failure"),
        ("failure 3", "failure"),
        ("failure 130", "error"),
        ("failure 0", "error"),
        ("success ", "error"),
        ("success 1", "error"),
        ("cancelled ", "error"),
        ("skipped ", "error"),
    ],
)
def test_the_status(machine: Machine, outcome: str, state: str) -> None:
    """Only a job that went through with exit 0 is a success."""
    assert machine.run("gpu-gate.yml", "publish", "Set the status", SHA=SHA, OUTCOME=outcome) == 0
    assert f"statuses/{SHA} -f state={state} -f context=gpu-gate" in machine.text("calls.txt")


def comment(machine: Machine) -> list[str]:
    assert machine.run("gpu-gate.yml", "publish", "Comment", PULL="7", SHA=SHA, TEXT="fine") == 0, machine.said
    return machine.text("body.txt").splitlines()


def test_a_comment_s_fence_can_t_be_closed(machine: Machine) -> None:
    """Whatever was printed, nothing of it is outside the fence; the verdict above is the status's."""
    (machine.folder / "nets-ab").mkdir()
    hostile = b"\n```\n~~~\n@everyone <img src=x>\n````\n\x1b[31m\xff\xfe" + "–×".encode() + b"\xe2\x80"
    (machine.folder / "nets-ab" / "gate.txt").write_bytes(b"\xa9" + hostile * 2_000)
    lines = comment(machine)
    assert lines[:4] == [
        "<!-- gpu-gate -->",
        f"**gpu-gate**: fine, for {SHA} ([figures and files](https://run))",
        "",
        "```text",
    ]
    assert lines[-1] == "```"
    assert "@everyone <img src=x>" in lines[5:-1]
    assert not [line for line in lines[4:-1] if "`" in line or "~" in line or "\x1b" in line]
    assert len("\n".join(lines)) < 65_536


def test_one_comment_a_pull_request(machine: Machine) -> None:
    """The first run comments, the next ones change that comment; a measurement without figures says so too."""
    assert comment(machine)[-2:] == ["It left no figures.", "```"]
    assert machine.text("calls.txt").splitlines()[-1] == "api --silent repos/o/r/issues/7/comments -F body=@comment.md"
    (machine.folder / "answer-comments.txt").write_text("41\n")
    comment(machine)
    assert machine.text("calls.txt").splitlines()[-1].startswith("api --silent -X PATCH repos/o/r/issues/comments/41 ")


def label(machine: Machine, head: str) -> int:
    return machine.run(
        "gpu-label.yml", "start", "Start gpu-gate.yml on the default branch",
        PULL="7", SHA=SHA, HEAD_REPO=head, DEFAULT_BRANCH="main",
    )  # fmt: skip


def test_the_label(machine: Machine) -> None:
    """It starts the default branch's gate for the head that was labelled, then comes off."""
    assert label(machine, "o/r") == 0
    start, remove = machine.text("calls.txt").splitlines()
    assert start == f"workflow run gpu-gate.yml --ref main -f pull=7 -f sha={SHA}"
    assert remove == "api --silent -X DELETE repos/o/r/issues/7/labels/gpu-gate"


@pytest.mark.parametrize("head", ["mallory/r", ""])
def test_the_label_starts_nothing_for_a_fork(machine: Machine, head: str) -> None:
    """On a fork's pull request, or a deleted fork's, it starts nothing and gives the command for a maintainer."""
    assert label(machine, head) == 1
    assert machine.text("calls.txt") == ""
    assert f"gh workflow run gpu-gate.yml --ref main -f pull=7 -f sha={SHA}" in machine.said


@pytest.mark.parametrize("code", [0, 1, 2, 3, 130])
def test_the_exit_code_passes_through(machine: Machine, code: int) -> None:
    """The job ends as `nets ab` did, called with the merge base and the head, and the log is kept."""
    machine.git("init", "--quiet", "--initial-branch", "main")
    identity = ("-c", "user.name=x", "-c", "user.email=x@x")
    machine.git(*identity, "commit", "--quiet", "--allow-empty", "--message", "base")
    base = machine.git("rev-parse", "HEAD").strip()
    machine.git(*identity, "commit", "--quiet", "--allow-empty", "--message", "later on main")
    machine.git("update-ref", "refs/remotes/origin/main", "HEAD")
    machine.git("checkout", "--quiet", "--detach", base)
    machine.git(*identity, "commit", "--quiet", "--allow-empty", "--message", "head")
    head = machine.git("rev-parse", "HEAD").strip()
    (machine.folder / "nets-ab").mkdir()
    (machine.folder / ".venv" / "bin").mkdir(parents=True)
    nets = machine.folder / ".venv" / "bin" / "nets"
    nets.write_text(f'#!/bin/sh\necho "$@"\necho a sentence >&2\nexit {code}\n')
    nets.chmod(0o755)
    assert machine.run("gpu-gate.yml", "measure", "Measure in turns", SHA=head, DEFAULT_BRANCH="main") == code
    assert machine.text("output.txt") == f"code={code}\n"
    printed = machine.text("nets-ab/gate.txt")
    assert printed.startswith(f"ab {base} {head} --cells digits-lenet5 ")
    assert printed.endswith("a sentence\n")


def test_the_history_grows(machine: Machine) -> None:
    """The first night makes the branch, the second adds to it, and a repository that can't be read loses nothing."""
    remote = machine.folder / "o" / "r.git"
    machine.git("init", "--quiet", "--bare", str(remote))
    (machine.folder / "nightly").mkdir()
    server = {"GITHUB_SERVER_URL": machine.folder.as_uri(), "GITHUB_REPOSITORY": "o/r"}
    for night in ("1" * 40, "2" * 40):
        (machine.folder / "nightly" / "nightly.json").write_text(night)
        keep = ("gpu-gate.yml", "history", "Commit and push")
        assert machine.run(*keep, **server, GITHUB_SHA=night) == 0, machine.said
        (machine.folder / "history").rename(machine.folder / night)
    files = machine.git("-C", str(remote), "ls-tree", "-r", "--name-only", "gpu-history").split()
    assert [name[-17:] for name in files] == [f"{night[:12]}.json" for night in ("1" * 40, "2" * 40)]
    (machine.folder / "nightly" / "nightly.json").write_text("3")
    remote.rename(machine.folder / "gone")
    assert machine.run("gpu-gate.yml", "history", "Commit and push", **server, GITHUB_SHA="3" * 40) != 0
