"""Leaves the cells out of a plain `pytest`, however it is configured: they are trained where this folder is named."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
BENCHMARK = "test_train_eval.py"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignore the benchmark unless an argument, or pytest's `testpaths`, names this folder or something in it."""
    if collection_path.name != BENCHMARK:
        return None
    started_in = config.invocation_params.dir
    named = ((started_in / argument.partition("::")[0]).resolve() for argument in config.args)
    return None if any(path.is_relative_to(HERE) for path in named) else True
