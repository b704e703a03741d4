"""The session's JSON file: refused early if it can't be written, made by pytest-benchmark's hooks, replaced whole."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from nets.records import durable
from nets.records.base import finite


def demand_writable(path: Path) -> None:
    """Refuse, before the first cell trains, a JSON file that could not be written after the last. Raises UsageError."""
    folder = path.parent
    if path.is_dir():
        raise pytest.UsageError(f"--benchmark-json: {path} is a folder")
    if path.exists() and not path.is_file():
        raise pytest.UsageError(f"--benchmark-json: {path} is not a plain file, and would be replaced by one")
    if not folder.is_dir():
        raise pytest.UsageError(f"--benchmark-json: the folder {folder} does not exist; make it first")
    if path.exists() and not os.access(path, os.W_OK):
        raise pytest.UsageError(f"--benchmark-json: {path} can't be written to")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise pytest.UsageError(
            f"--benchmark-json: the folder {folder} can't be written to: {error.strerror}"
        ) from None


def write(path: Path, config: pytest.Config, session: Any) -> None:
    """Write the complete benchmarks of pytest-benchmark's `session`, as it would, but atomically and as valid JSON."""
    hook = config.hook
    machine_info = session.get_machine_info()
    commit_info = hook.pytest_benchmark_generate_commit_info(config=config)
    hook.pytest_benchmark_update_commit_info(config=config, commit_info=commit_info)
    output_json = hook.pytest_benchmark_generate_json(
        config=config,
        benchmarks=session.benchmarks,
        include_data=True,
        machine_info=machine_info,
        commit_info=commit_info,
    )
    hook.pytest_benchmark_update_json(config=config, benchmarks=session.benchmarks, output_json=output_json)
    durable.write(path, json.dumps(_finite(output_json), allow_nan=False, indent=4, default=str) + "\n")


def _finite(value: Any) -> Any:
    """The same, with null for every number that is not finite: another benchmark may hold one."""
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value
