"""The recipes for CIs and clusters: as those read them, each command one that there is, and Slurm's run for real."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from nets.cells.shards import Shard
from nets.cli.app import app
from nets.records.run_file import read_run
from tests.repository.test_workflows import demand_options_of_pytest
from tests.support.suite import REPOSITORY, Suite
from tests.support.workflows import FILES, calls

EXAMPLES = REPOSITORY / "examples" / "ci"
SLURM_GATE = EXAMPLES / "slurm-gate.sh"
GITLAB = EXAMPLES / "gitlab-ci.yml"
SBATCH = """#!/usr/bin/env bash
# sbatch: runs each task at once, one after the other, and prints a job's number
set -euo pipefail
echo "sbatch $*" >> calls
array= ; depends=
while [[ $1 == --* ]]; do
    case $1 in
        --array=*) array=${1#*=} ;;
        --dependency=afterany:*) depends=${1##*:} ;;
        --parsable | --job-name=* | --gres=* | --cpus-per-task=* | --time=* | --output=*) ;;
        *) echo "sbatch: unrecognized option '$1'" >&2; exit 1 ;;
    esac
    shift
done
[[ -z $depends || $depends == 4711 ]]
script=$1 ; shift
cp "$script" spooled # as Slurm does: a job's $0 is no file of the repository
if [[ $array ]]; then
    for task in $(seq "${array%-*}" "${array#*-}"); do
        SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_COUNT=${array#*-} bash spooled "$@" >&2
    done
else
    bash spooled "$@" >&2
fi
echo 4711
"""
SRUN = '#!/usr/bin/env bash\necho "srun $*" >> calls\nexec "$@"\n'


def example(name: str) -> Any:
    """A workflow's content."""
    return YAML(typ="safe").load(EXAMPLES / name)


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("check-jsonschema", ("--builtin-schema", "vendor.github-workflows", "github-matrix.yml")),
        ("check-jsonschema", ("--builtin-schema", "vendor.gitlab-ci", "gitlab-ci.yml")),
        ("shellcheck", ("slurm-array.sh", "slurm-gate.sh")),
    ],
)
def test_checked(program: str, arguments: tuple[str, ...]) -> None:
    """GitHub's and GitLab's schemas fit, and shellcheck finds nothing in the scripts."""
    found = shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{program} is of the extra `dev`, which is not installed")
    done = subprocess.run([found, *arguments], cwd=EXAMPLES, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_matrix() -> None:
    """It has each shard of as many as its command names, joins them whatever became of them, and uses what ours use."""
    jobs = example("github-matrix.yml")["jobs"]
    (command,) = [found for step in jobs["shard"]["steps"] for found in calls(step.get("run", ""), "pytest")]
    of = Shard.parse(command[command.index("--shard") + 1].replace("$SHARD", "1")).of
    assert jobs["shard"]["strategy"]["matrix"]["shard"] == list(range(1, of + 1))
    assert jobs["shard"]["strategy"]["fail-fast"] is False
    assert jobs["merge"]["if"] == "${{ !cancelled() }}"
    (merge,) = [found for step in jobs["merge"]["steps"] for found in calls(step.get("run", ""), "nets")]
    assert merge == ["merge", "shard-*.json", "--out", "out.json"]
    ours = "".join(path.read_text() for path in FILES)
    for used in re.findall(r"uses: .*", (EXAMPLES / "github-matrix.yml").read_text()):
        assert used in ours


@pytest.fixture
def cluster(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the example, and a Slurm that has one node."""
    programs = suite.path / "programs"
    programs.mkdir()
    shutil.copytree(EXAMPLES, suite.path / "examples" / "ci")
    for name, text in {
        "sbatch": SBATCH,
        "srun": SRUN,
        "pytest": f'#!/usr/bin/env bash\nexec {sys.executable} -m pytest "$@"\n',
        "nets": f'#!/usr/bin/env bash\nexec {sys.executable} -m nets "$@"\n',
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY / "src"))
    return suite.path


def test_slurm(cluster: Path) -> None:
    """Submitted once, every shard is measured by a task of its own, all are joined, and held against a stored run."""
    cells = ("--cells", "digits-snn500,digits-cnn3l", "--epochs", "1", "--rounds", "1", "--batch-size", "500")
    command = ["bash", "examples/ci/slurm-array.sh", "--device", "cpu", *cells]
    environment = {**os.environ, "SHARDS": "2"}
    done = subprocess.run(command, cwd=cluster, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    joined = read_run(cluster / "nets-run" / "out.json")
    assert [result.id for result in joined.results] == ["digits-snn500", "digits-cnn3l"]
    calls_made = (cluster / "calls").read_text().splitlines()
    assert [line.split()[0] for line in calls_made] == ["sbatch", "srun", "srun", "sbatch"]
    assert "--array=1-2" in calls_made[0]
    assert "afterany:4711" in calls_made[3]
    base = (cluster / "nets-run" / "out.json").rename(cluster / "base.json")
    again = subprocess.run(
        ["bash", "examples/ci/slurm-array.sh", "merge"],
        cwd=cluster, env={**environment, "BASE": str(base)}, capture_output=True, text=True,
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
    assert "against base" in again.stdout
    assert "exit 0" in again.stdout


def demand_parsed(arguments: list[str]) -> None:
    """A call of nets must be of a command and options that there are."""
    name, *rest = arguments
    get_command(app).commands[name].make_context(name, list(rest))  # type: ignore[attr-defined]  # it is a group
    if "--" in rest:
        demand_options_of_pytest(rest[rest.index("--") + 1 :])


def test_gitlab() -> None:
    """Both jobs' commands parse; the gate waits for a person, and blocks the pipeline until then."""
    content = YAML(typ="safe").load(GITLAB)
    script = "\n".join(content["nets-gate"]["script"])
    (ab,) = calls(script, "nets")
    demand_parsed(ab)
    (rule,) = content["nets-gate"]["rules"]
    assert (rule["when"], rule["allow_failure"]) == ("manual", False)
    ((folder, *options),) = calls("\n".join(content["nets-nightly"]["script"]), "pytest")
    assert folder == "benchmarks"
    demand_options_of_pytest(options)


@pytest.mark.parametrize("code", [0, 1, 3, 130])
def test_slurm_gate(tmp_path: Path, code: int) -> None:
    """What the script calls is a command of nets, with the networks, cells and limits; its exit code is the job's."""
    (tmp_path / "nets").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > called\nexit {code}\n')
    (tmp_path / "nets").chmod(0o755)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "gate.toml").touch()
    variables = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "SLURM_JOB_ID": "7",
        "NETS": "a b.py",
        "CELLS": "x-y",
    }
    command = ["bash", str(SLURM_GATE), "main", "HEAD"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    called = (tmp_path / "called").read_text().splitlines()
    assert called[:7] == ["ab", "main", "HEAD", "--nets=a b.py", "--cells", "x-y", "--config"]
    assert (tmp_path / "nets-ab-7").is_dir()
    demand_parsed(called)


@pytest.mark.parametrize(("arguments", "because"), [(["main"], "name the head revision"), (["a", "b"], "by sbatch")])
def test_slurm_gate_refuses(tmp_path: Path, arguments: list[str], because: str) -> None:
    """Without a revision, or outside of a job, it says so and runs nothing."""
    environment = {name: value for name, value in os.environ.items() if name != "SLURM_JOB_ID"}
    done = subprocess.run(
        ["bash", str(SLURM_GATE), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert because in done.stderr
