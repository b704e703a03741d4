"""The benchmarks that run only when their marker is asked for, beside other people's markers and names."""

from __future__ import annotations

import pytest

from nets.plugin.hooks import APART
from tests.support.suite import Suite

TESTS = """
import pytest
@pytest.mark.nets_growth
def test_ours(): pass
@pytest.mark.growth
@pytest.mark.peers
def test_others(): pass
@pytest.mark.slow
@pytest.mark.nets_growth
def test_slow(): pass
"""


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ("", {"test_others"}),
        ("nets_growth", {"test_ours", "test_slow"}),
        ("nets_growth and not slow", {"test_ours"}),
        ("nets_growth or growth", {"test_ours", "test_others", "test_slow"}),
        ("not nets_growth", {"test_others"}),
        ("growth", {"test_others"}),
        ("not growthy", {"test_others"}),
        ("not nets_growth_of_mine", {"test_others"}),
        ("slow", set()),
        ("slow or nets_growth", {"test_ours", "test_slow"}),
    ],
)
def test_only_what_is_asked_for(suite: Suite, expression: str, selected: set[str]) -> None:
    """Ours are selected by an expression that turns on our marker; other people's tests are never left out by us."""
    suite.pytester.makepyfile(test_it=TESTS)
    result = suite.pytester.inline_run("test_it.py", "-q", "-W", "ignore", *(("-m", expression) if expression else ()))
    passed, _, _ = result.listoutcomes()
    assert {report.nodeid.partition("::")[2] for report in passed} == selected


def test_our_markers_are_ours() -> None:
    """Each of our markers begins with our name."""
    assert all(marker.startswith("nets_") for marker in APART)
