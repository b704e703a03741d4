"""The gate's steps do what they say: their scripts, run as GitHub runs them, beside a `gh` that notes its calls."""

from __future__ import annotations

import shutil

import pytest

from tests.support.workflows import SHA, Machine

BASE = "b" * 40
SUDO = """#!/bin/sh
# sudo for a command that `.ci/as-nets-code` runs, still as this user; it ends nothing
shift 5
case "$*" in *"id -u;"*) echo 60001 ;; *"exec setpriv"*) HOME=$PWD/home exec "$@" ;; *) exit 1 ;; esac
"""


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


@pytest.mark.skipif(shutil.which("jq") is None, reason="GitHub's machines have jq, this one has not")
@pytest.mark.parametrize(
    ("text", "first"),
    [
        (
            '{"sentence": "digits-snn500 is 12.3 % slower ``` ~~~ at 1a2b."}',
            "digits-snn500 is 12.3 % slower   at 1a2b. ",
        ),
        ('{"sentence": null}', ""),
        ("no JSON", ""),
    ],
)
def test_the_sentence_comes_first(machine: Machine, text: str, first: str) -> None:
    """The verdict in words stands above the figures, inside the fence; a file that is none breaks nothing."""
    (machine.folder / "nets-ab").mkdir()
    (machine.folder / "nets-ab" / "gate.json").write_text(text)
    (machine.folder / "nets-ab" / "gate.txt").write_text("the figures")
    assert comment(machine)[4:] == [first, "", "the figures", "```"]


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
    machine.program("sudo", SUDO)
    (machine.folder / "nets-ab").mkdir()
    (machine.folder / "home" / "repository" / ".venv" / "bin").mkdir(parents=True)
    printing = 'echo "$@"\necho a sentence >&2\nprintf "::set-output name=code::0"\n'
    machine.program("home/repository/.venv/bin/nets", f"#!/bin/sh\n{printing}exit {code}\n")
    assert machine.run("gpu-gate.yml", "measure", "Measure in turns", SHA=head, DEFAULT_BRANCH="main") == code
    assert machine.text("output.txt") == f"code={code}\n"
    printed = machine.text("nets-ab/gate.txt")
    assert printed.startswith(f"ab {base} {head} --cells digits-lenet5 ")
    assert printed.endswith("a sentence\n::set-output name=code::0")
    first, *_, last = machine.said.splitlines()
    assert first.startswith("::stop-commands::"), "a line of what was measured would be a workflow command"
    assert last == f"::{first.removeprefix('::stop-commands::')}::"


@pytest.mark.parametrize("code", [0, 1])
def test_a_night_that_failed_is_kept(machine: Machine, code: int) -> None:
    """The nightly step ends as pytest did, and the file that pytest left is taken over either way."""
    machine.program("sudo", SUDO)
    (machine.folder / "nightly").mkdir()
    (machine.folder / "home" / "repository" / ".venv" / "bin").mkdir(parents=True)
    machine.program("home/repository/.venv/bin/pytest", f'#!/bin/sh\necho "$@" | tee nightly.json\nexit {code}\n')
    assert machine.run("gpu-gate.yml", "nightly", "Run the benchmark") == code
    assert machine.run("gpu-gate.yml", "nightly", "Take its file over") == 0
    assert machine.text("nightly/nightly.json") == machine.text("nightly/nightly.txt")
    assert machine.text("nightly/nightly.json").startswith("benchmarks --cells digits-lenet5 ")


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
