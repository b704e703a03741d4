"""The recipes for other CIs than GitHub's: each command is one that there is, and the script passes codes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from nets.cli.app import app
from tests.repository.test_workflows import demand_options_of_pytest
from tests.support.suite import REPOSITORY
from tests.support.workflows import calls

CI = REPOSITORY / "examples" / "ci"
SLURM = CI / "slurm-gate.sh"
GITLAB = CI / "gitlab-ci.yml"


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


@pytest.mark.parametrize("program", ["shellcheck", "check-jsonschema"])
def test_checked(program: str) -> None:
    """Shellcheck and GitLab's schema find nothing."""
    found = shutil.which(program, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{program} is not among the oldest dependencies")
    given = [str(SLURM)] if program == "shellcheck" else ["--builtin-schema", "vendor.gitlab-ci", str(GITLAB)]
    done = subprocess.run([found, *given], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("code", [0, 1, 3, 130])
def test_slurm(tmp_path: Path, code: int) -> None:
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
    command = ["bash", str(SLURM), "main", "HEAD"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    called = (tmp_path / "called").read_text().splitlines()
    assert called[:7] == ["ab", "main", "HEAD", "--nets=a b.py", "--cells", "x-y", "--config"]
    assert (tmp_path / "nets-ab-7").is_dir()
    demand_parsed(called)


@pytest.mark.parametrize(("arguments", "because"), [(["main"], "name the head revision"), (["a", "b"], "by sbatch")])
def test_slurm_refuses(tmp_path: Path, arguments: list[str], because: str) -> None:
    """Without a revision, or outside of a job, it says so and runs nothing."""
    environment = {name: value for name, value in os.environ.items() if name != "SLURM_JOB_ID"}
    done = subprocess.run(
        ["bash", str(SLURM), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert because in done.stderr
