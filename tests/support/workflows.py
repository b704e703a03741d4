"""The GitHub workflows as the tests read and run them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML

from tests.support.suite import REPOSITORY

FILES = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
GUIDE = (REPOSITORY / "docs" / "ci.md").read_text()


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
            found = re.match(rf"\s*(?:\.venv/bin/)?{program}\s(.*)", part)
            if found:
                yield shlex.split(found[1], comments=True)


def blocks(page: str) -> list[str]:
    """The fenced blocks of commands of a Markdown page; those that name another language are none."""
    fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page, flags=re.DOTALL | re.MULTILINE)
    return [text for language, text in fenced if language in ("", "bash")]
