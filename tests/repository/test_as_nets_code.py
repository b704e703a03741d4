"""What `.ci/as-nets-code` runs has no way to a later step: tried with what hostile code would leave behind."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

from tests.repository.conftest import OtherUser
from tests.support.workflows import Machine, step

COMMAND = ".ci/as-nets-code"


@pytest.mark.parametrize(
    "left",
    [
        "setsid bash -c 'sleep 20; touch ended' &",
        "trap '' HUP INT TERM; (setsid bash -c 'sleep 20; touch ended' &)",
        "exec > /dev/null 2>&1; sleep 20 & kill -STOP $!",
        "hop() { if ((SECONDS < 20)); then hop & else touch ended; fi; }; hop",
    ],
    ids=["a daemon", "a daemon deaf to signals", "a stopped process", "one that never stays the same process"],
)
def test_no_process_is_left(machine: Machine, other_user: OtherUser, left: str) -> None:
    """What a command left behind is ended, not waited for, though it holds the output open; the exit code is kept."""
    assert other_user.run(machine, f"{left}\nexit 7") == 7, machine.said
    assert not (other_user.repository / "ended").exists(), "it was waited for"
    assert other_user.processes() == []


def test_a_later_call_ends_what_a_cancelled_step_left(machine: Machine, other_user: OtherUser) -> None:
    """A step whose shell was killed leaves its processes; the next call, of whatever command, ends them."""
    deaf = "trap '' INT TERM HUP; echo ready; while :; do sleep 20; done"
    path = {"PATH": f"{machine.folder}:{os.environ['PATH']}"}
    command = [str(machine.folder / COMMAND), "bash", "-c", deaf]
    with subprocess.Popen(command, cwd=machine.folder, env=os.environ | path, stdout=subprocess.PIPE) as cancelled:
        assert cancelled.stdout is not None
        assert cancelled.stdout.readline() == b"ready\n"
        cancelled.kill()
        assert other_user.processes() != []
        assert machine.call([COMMAND, "true"]) == 0, machine.said
        assert other_user.processes() == []


def test_a_process_that_resists_is_ended(machine: Machine, other_user: OtherUser) -> None:
    """A process that kills at once whatever else its user starts, the command too, is ended where root's sudo may."""
    fight = "while :; do kill -KILL -1; done > /dev/null 2>&1 & sleep 20"
    assert other_user.run(machine, fight) == 137, machine.said
    assert other_user.processes() == []


@pytest.mark.parametrize(
    ("ps", "reason"),
    [
        ("echo D", "a process of nets-code can't be ended: use this machine no more"),
        ("exit 127", "ps doesn't tell"),
    ],
    ids=["it waits in the driver", "no ps"],
)
def test_what_is_left_is_told_of(machine: Machine, other_user: OtherUser, ps: str, reason: str) -> None:
    """A process that can't be ended, or not be looked for, makes a command fail that went well."""
    machine.program("ps", f"#!/bin/sh\n{ps}\n")
    machine.program("sleep", "#!/bin/sh\n")
    assert machine.call([COMMAND, "true"]) == 125
    assert reason in machine.said


def test_the_environment_stays_here(machine: Machine, other_user: OtherUser) -> None:
    """The command has three variables of ours, and no more rights to be had."""
    given = {"NETS_DATA": "/data", "COLUMNS": "160", "CUDA_VISIBLE_DEVICES": "", "ACTIONS_RUNTIME_TOKEN": "secret"}
    assert machine.call([COMMAND, "bash", "-c", "env; pwd; grep NoNewPrivs /proc/self/status"], **given) == 0
    *variables, folder, rights = machine.said.splitlines()
    found = dict(line.split("=", 1) for line in variables)
    assert {name: found.pop(name) for name in list(given)[:3]} == dict(list(given.items())[:3])
    assert set(found) == {"HOME", "PATH", "LANG", "PWD", "SHLVL", "_"}
    assert folder == str(other_user.repository)
    assert rights.split() == ["NoNewPrivs:", "1"]


@pytest.mark.parametrize(
    "attempt",
    ["cat /proc/{pid}/environ", "kill -0 {pid}", "cat {folder}/gh", "touch {folder}/.ci/as-nets-code"],
)
def test_nothing_of_ours_is_in_reach(machine: Machine, other_user: OtherUser, attempt: str) -> None:
    """The command can't read a process of ours, signal it, or read or change a file where the steps run."""
    words = attempt.format(pid=os.getpid(), folder=machine.folder)
    assert machine.call(["bash", "-c", words]) == 0, "it is no attempt if we ourselves can't"
    assert machine.call([COMMAND, "bash", "-c", words]) != 0
    assert "ermi" in machine.said  # permission denied, or not permitted


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("exit 1", "sudo doesn't let"),
        ("id -u", "neither root nor the runner's own user"),
        ("echo 0", "neither root nor the runner's own user"),
        ('echo 60001; echo "$PWD"', "may write to\n/"),
    ],
    ids=["no such user", "the same user", "root", "a folder open to all"],
)
def test_who_is_not_apart_runs_nothing(machine: Machine, answer: str, reason: str) -> None:
    """Where the other user could reach the steps after all, nothing is run, and the reason is given."""
    machine.program("sudo", f'#!/bin/sh\n[ "$3" = --user ] || exit 1\necho "$*" >> calls.txt\n{answer}\n')
    assert machine.call([COMMAND, "true"]) == 125
    assert machine.said.startswith("::error::as-nets-code: ")
    assert reason in machine.said
    (call,) = machine.text("calls.txt").splitlines()
    assert "id -u" in call
    assert f"{machine.folder} " in call


def test_a_folder_open_to_all_is_found(machine: Machine, other_user: OtherUser) -> None:
    """The other user's own folder, in the place of the steps', is one that it may write to."""
    assert machine.call([COMMAND, "true"], RUNNER_TEMP=str(other_user.home)) == 125
    assert f"nets-code may write to\n{other_user.home} (" in machine.said


def test_its_repository_is_a_copy(machine: Machine, other_user: OtherUser) -> None:
    """The installing step hands over the repository as it is, and keeps nothing of a run before it."""
    copy, *_ = step("gpu-gate.yml", "measure", "Install")["run"].partition(".ci/as-nets-code python3")
    assert machine.call([COMMAND, "touch", "of-the-run-before"]) == 0, machine.said
    assert machine.call(["bash", "-eo", "pipefail", "-c", copy]) == 0, machine.said
    assert machine.call([COMMAND, "find", ".", "-mindepth", "1", "-user", str(other_user.uid)]) == 0
    whole = {f"./{path.relative_to(machine.folder)}" for path in machine.folder.rglob("*")}
    assert set(machine.said.splitlines()) == whole


HOSTILE = """
mkdir nets-ab && cd nets-ab
echo '{}' > base.json
ln -s %s head.json
ln -s /dev/zero base.log
mkfifo head.log
mkdir gate.json
head -c 2M /dev/zero > gate.md
"""


def test_its_files_are_taken_over_as_files(machine: Machine, other_user: OtherUser) -> None:
    """A link shows nothing that its writer couldn't read; a pipe, a device, a folder and a link itself are left out."""
    key = machine.folder / "credentials"
    key.write_text("secret")
    machine.call([COMMAND, "bash", "-c", HOSTILE % key])
    (machine.folder / "nets-ab").mkdir()
    assert machine.run("gpu-gate.yml", "measure", "Take its files over") == 0, machine.said
    found = sorted((machine.folder / "nets-ab").iterdir())
    assert [path.name for path in found] == ["base.json", "gate.md"]
    assert all(stat.S_ISREG(path.lstat().st_mode) for path in found)
    assert found[0].read_text() == "{}\n"
    assert 0 < len(machine.text("summary.txt")) < 1_048_576, "more than the run's page takes"
