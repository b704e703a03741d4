"""What the tests of the GPU share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stub_driver import StubbedProcess


@pytest.fixture(scope="module")
def driver(stub_driver: Path) -> Iterator[StubbedProcess]:
    """A process with the stub driver."""
    with StubbedProcess(stub_driver) as process:
        yield process
