"""The workflows hold what zizmor can't know: who reaches the GPU runner, with what token, and by which commands."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from typer.main import get_command

from nets.cli.app import app
from nets.plugin import options
from tests.support.suite import REPOSITORY
from tests.support.workflows import FILES, GUIDE, blocks, calls, is_self_hosted, jobs, workflow

STATUS = "gpu-gate"
BY_MAINTAINERS = {"workflow_dispatch", "schedule"}
"""Events whose workflow file is none of a pull request's."""
WITH_WRITE_TOKENS_FOR_ANYONE = {"pull_request_target", "workflow_run", "issue_comment"}


def test_actions_are_pinned() -> None:
    """Every action is named by a whole commit, with its version beside it."""
    used = [line for path in FILES for line in path.read_text().splitlines() if re.search(r"\buses:", line)]
    assert len(used) >= 8
    for line in used:
        assert re.search(r"uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_no_pull_request_reaches_the_gpu_runner() -> None:
    """A workflow with a job on our machine is started by nothing that a pull request can cause or write."""
    ours = {name for name, _, job in jobs() if is_self_hosted(job)}
    assert ours == {"gpu-gate.yml"}
    for name in ours:
        assert set(workflow(name)["on"]) <= BY_MAINTAINERS, name
    for path in FILES:
        assert not set(workflow(path.name)["on"]) & WITH_WRITE_TOKENS_FOR_ANYONE, path.name


def test_only_the_admitted_commit_is_measured() -> None:
    """What is checked out is the commit that was named, after it was admitted, by the default branch's workflow."""
    gate = workflow("gpu-gate.yml")["jobs"]
    assert gate["measure"]["needs"] == "admit"
    assert "always" not in gate["measure"]["if"]
    on_default_branch = "github.ref == format('refs/heads/{0}', github.event.repository.default_branch)"
    assert gate["admit"]["if"] == f"github.event_name == 'workflow_dispatch' && {on_default_branch}"
    checkout, judge = gate["measure"]["steps"][:2]
    assert checkout["with"]["ref"] == "${{ inputs.sha }}"
    assert judge["run"] == 'git checkout --detach "$GITHUB_SHA"'
    assert workflow("gpu-label.yml")["on"] == {"pull_request": {"types": ["labeled"]}}


def test_least_permissions() -> None:
    """Our machine's jobs may read, and nothing else; a job that may write is hosted and has no code of anyone's."""
    for path in FILES:
        assert workflow(path.name)["permissions"] in ({}, {"contents": "read"}), path.name
    for name, job_id, job in jobs():
        where = f"{name}: {job_id}"
        may = job.get("permissions", workflow(name)["permissions"])
        uses = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
        if is_self_hosted(job):
            assert may == {"contents": "read"}, where
        if "write" in may.values():
            assert job["runs-on"] == "ubuntu-latest", where
            assert "actions/checkout" not in uses, where
        for step in job["steps"]:
            if "actions/checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False, where
            assert "secrets." not in str(step), where


def test_what_is_measured_runs_as_another_user() -> None:
    """On our machine what is installed or measured runs by .ci/as-nets-code, and its processes end at all events."""
    ours = [job for _, _, job in jobs() if is_self_hosted(job)]
    assert len(ours) == 2
    for job in ours:
        lines = [line for step in job["steps"] for line in step.get("run", "").replace("\\\n", " ").splitlines()]
        theirs = [line for line in lines if ".venv" in line or "nets-code" in line]
        assert len(theirs) >= 6
        for line in theirs:
            assert re.match(r"\s*(tar -c \. \| )?\.ci/as-nets-code ", line), line
        assert 'echo "::stop-commands::$resume"' in "\n".join(lines)
        (end,) = (step for step in job["steps"] if step.get("run") == ".ci/as-nets-code true")
        assert end["if"] == "${{ always() }}"


def test_no_cache() -> None:
    """No step restores or keeps a cache: a dispatched run has a token that writes the default branch's."""
    steps = [step for _, _, job in jobs() for step in job["steps"]]
    assert len(steps) > 20
    for found in steps:
        assert "cache" not in str(found), found


def test_no_expression_in_a_script() -> None:
    """What others choose (a title, a branch, an input) reaches a script by its environment, never by its text."""
    for name, job_id, job in jobs():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), f"{name}: {job_id}"


def test_no_job_is_named_as_the_status() -> None:
    """A skipped job counts as passed: the required name is the commit status's alone."""
    text = (REPOSITORY / ".github" / "workflows" / "gpu-gate.yml").read_text()
    assert text.count(f"-f context={STATUS} ") == 2
    for name, job_id, job in jobs():
        assert STATUS not in (job_id, job.get("name")), name


def test_every_job_ends() -> None:
    """Each job has a timeout, and a second run for the same thing replaces the first."""
    for name, job_id, job in jobs():
        assert 0 < job["timeout-minutes"] <= 90, f"{name}: {job_id}"
        assert workflow(name)["concurrency"]["cancel-in-progress"] is True


def scripts() -> Iterator[str]:
    """Whatever runs: each step's script, and the blocks of docs/ci.md."""
    yield from (step["run"] for _, _, job in jobs() for step in job["steps"] if "run" in step)
    yield from blocks(GUIDE)


def called(program: str) -> list[list[str]]:
    """The arguments of each call of a program."""
    return [arguments for script in scripts() for arguments in calls(script, program)]


def demand_options_of_pytest(arguments: list[str]) -> None:
    """Options must be the suite's, or those of the plug-ins that come with it."""
    parser = pytest.Parser(_ispytest=True)
    options.add_options(parser)
    (group,) = (group for group in parser._groups if group.name == "nets")
    known = {name for option in group.options for name in option.names()} | {"--benchmark-json", "-m", "-n"}
    assert {word.partition("=")[0] for word in arguments if word.startswith("-")} <= known, arguments


def test_every_command_of_nets_parses() -> None:
    """Each call of nets, in a workflow or the guide, names a command and options that there are."""
    found = called("nets")
    assert {name for name, *_ in found} == {"ab", "gate", "history", "init"}
    group = get_command(app)
    for name, *arguments in found:
        command = group.commands[name]  # type: ignore[attr-defined]  # it is a group
        command.make_context(name, list(arguments))
        if "--" in arguments:
            demand_options_of_pytest(arguments[arguments.index("--") + 1 :])


def test_every_call_of_pytest_parses() -> None:
    """Each call of pytest, in a workflow or the guide, is of a folder that there is, with options that there are."""
    found = [arguments for arguments in called("pytest") if arguments]  # one is plain
    assert len(found) >= 2
    for folder, *arguments in found:
        assert (REPOSITORY / folder).is_dir(), folder
        demand_options_of_pytest(arguments)


def test_a_cell_that_hangs_costs_its_own_figures_alone() -> None:
    """On our machine a cell may take so long that the job still has time if every cell does."""
    gate = workflow("gpu-gate.yml")
    n_cells = len(gate["env"]["CELLS"].split(","))
    measuring = [arguments for program in ("nets", "pytest") for arguments in called(program) if "$CELLS" in arguments]
    assert len(measuring) == 2
    for arguments in measuring:
        seconds = int(arguments[arguments.index("--cell-timeout") + 1])
        assert n_cells * seconds < 60 * min(gate["jobs"][name]["timeout-minutes"] for name in ("measure", "nightly"))


def test_the_gate_is_started_with_its_inputs() -> None:
    """The label's step and the guide start the gate with inputs that it has, and with all that it needs."""
    inputs = workflow("gpu-gate.yml")["on"]["workflow_dispatch"]["inputs"]
    needed = {name for name, given in inputs.items() if given.get("required")}
    starts = re.findall(r"gh workflow run gpu-gate\.yml ([^\n`]*)", "\n".join([*scripts(), GUIDE]))
    assert len(starts) >= 3
    for start in starts:
        given = set(re.findall(r"-f \"?(\w+)=", start))
        assert needed <= given <= set(inputs), start
