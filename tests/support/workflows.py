"""The GitHub workflows as the tests read and run them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.support.suite import REPOSITORY

FILES = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
GUIDE = (REPOSITORY / "docs" / "ci.md").read_text()
SHA = "a" * 40
"""The head of the pull request on a `Machine`."""


def workflow(name: str) -> Any:
    """A workflow's content; YAML 1.2, to which `on` is a word."""
    return YAML(typ="safe").load(REPOSITORY / ".github" / "workflows" / name)


def jobs() -> Iterator[tuple[str, str, Any]]:
    """Each job of each workflow: file name, job id, job."""
    for path in FILES:
        for job_id, job in workflow(path.name)["jobs"].items():
            yield path.name, job_id, job


def step(name: str, job_id: str, step_name: str) -> Any:
    """A step by its name."""
    (found,) = (step for step in workflow(name)["jobs"][job_id]["steps"] if step.get("name") == step_name)
    return found


def is_self_hosted(job: Mapping[str, Any]) -> bool:
    """Whether it runs on a machine of ours."""
    return "self-hosted" in job["runs-on"]


def calls(script: str, program: str) -> Iterator[list[str]]:
    """The arguments of each call of a program in a shell script; a call ends at a pipe, a list or a redirection."""
    for line in script.replace("\\\n", " ").splitlines():
        for part in re.split(r"\s(?:&&|\|\||\||2>&1|>>?)\s", line):
            found = re.match(rf"\s*(?:\.ci/as-nets-code\s)?(?:\.venv/bin/)?{program}\s(.*)", part)
            if found:
                yield shlex.split(found[1], comments=True)


def blocks(page: str) -> list[str]:
    """The fenced blocks of commands of a Markdown page; those that name another language are none."""
    fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page, flags=re.DOTALL | re.MULTILINE)
    return [text for language, text in fenced if language in ("", "bash")]


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
        return self.call(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", found["run"]], **given)

    def call(self, command: list[str], **environment: str) -> int:
        """Run a command here; its exit code. What it prints is in `said`."""
        path = f"{self.folder}:{os.environ['PATH']}"
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "PATH": path, **self.environment, **environment},
            capture_output=True,
            text=True,
            errors="replace",
        )
        self.said = done.stdout + done.stderr
        return done.returncode

    def program(self, name: str, text: str) -> None:
        """Put a program before all others of its name."""
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def text(self, name: str) -> str:
        """What a file holds; nothing if it is not there."""
        path = self.folder / name
        return path.read_text(errors="replace") if path.is_file() else ""

    def git(self, *arguments: str) -> str:
        """Run git here."""
        return subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True).stdout
