"""Who may object to a cell, and what becomes of the record."""

from __future__ import annotations

from tests.support.suite import Suite

QUICK = ("--cells", "digits-snn500")
SHORT = (*QUICK, "--epochs", "1", "--rounds", "2")


def test_a_user_s_own_check(suite: Suite) -> None:
    """A conftest can add checks, by returning sentences or by asserting; one that asserts silences no other."""
    suite.conftest(
        "def pytest_nets_check(cell, result):\n"
        "    assert cell.id == result.id\n"
        "    assert result.network.parameters < 1000, 'too many parameters for us'\n"
    )
    suite.bands("digits-snn500", [0.5, 0.51, 0.505])
    suite.run(*QUICK, "--rounds", "1").assert_outcomes(failed=1)
    status, failures = suite.outcomes()["digits-snn500"]
    assert status == "failed"
    assert len(failures) == 2
    assert any("too many parameters for us" in failure for failure in failures)
    assert any("is above its band" in failure for failure in failures)


# what a check does -> what its cell fails for
CHECKS = {
    "raise KeyError('oops')": "a check raised KeyError: 'oops'",
    "pytest.fail('no good')": "a check raised Failed: no good",
    "pytest.skip('later')": "a check raised Skipped: later",
    "return True": "a check returned True, neither a sentence nor a list of them",
    "return 'too slow'": "too slow",
    "return ['too slow']": "too slow",
    "return ''": None,
    "return []": None,
}
OWN = """
import nets
from torch import nn
for i in range(8):
    nets.network(dataset="digits", name=f"c{i}")(lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
"""


def test_what_a_check_may_do(suite: Suite) -> None:
    """Whatever a check returns or raises, each record is kept whole, and a mistake in the check is a failure."""
    bodies = "".join(f"    if cell.id == 'digits-c{i}':\n        {body}\n" for i, body in enumerate(CHECKS))
    suite.conftest(f"import pytest\ndef pytest_nets_check(cell):\n{bodies}")
    (suite.path / "own.py").write_text(OWN)
    cells = {f"digits-c{i}": message for i, message in enumerate(CHECKS.values())}
    suite.run("--nets", "own.py", "--cells", ",".join(cells), "--epochs", "1", "--rounds", "1")
    outcomes = suite.outcomes()
    assert outcomes.keys() == cells.keys()
    assert len(suite.content()["benchmarks"]) == len(cells)
    for cell, message in cells.items():
        status, failures = outcomes[cell]
        assert status == ("passed" if message is None else "failed"), cell
        assert message is None or message in failures[0]


def test_a_check_of_another_folder(suite: Suite) -> None:
    """A conftest's check holds for the cells of its own folder, once."""
    for name in ("a", "b"):
        (suite.path / "benchmarks" / name).mkdir()
        (suite.path / "benchmarks" / name / "conftest.py").write_text(
            f"def pytest_nets_check(result):\n    return 'check of {name}'\n"
        )
    (suite.path / "benchmarks" / "test_train_eval.py").rename(suite.path / "benchmarks" / "a" / "test_train_eval.py")
    (suite.path / "benchmarks" / "b" / "test_b.py").write_text("def test_b(): pass\n")
    suite.run(*SHORT, "--rounds", "1").assert_outcomes(passed=1, failed=1)
    assert suite.outcomes()["digits-snn500"][1] == ["check of a"]


def test_expected_failures_keep_their_record(suite: Suite) -> None:
    """A cell that is marked xfail and fails has run: its record says how it failed."""
    suite.conftest(
        "import pytest\n"
        "def pytest_collection_modifyitems(items):\n"
        "    for item in items: item.add_marker(pytest.mark.xfail(reason='known'))\n"
        "def pytest_nets_check(): return 'known to be bad'\n"
    )
    suite.run(*SHORT, "--rounds", "1").assert_outcomes(xfailed=1)
    assert suite.outcomes()["digits-snn500"] == ("failed", ["known to be bad"])


def test_an_assertion_after_the_record(suite: Suite) -> None:
    """A test that fails after its record was made is a failure in the file too."""
    test = suite.path / "benchmarks" / "test_train_eval.py"
    test.write_text(test.read_text() + "    assert cell_run.rounds == [], 'an afterthought'\n")
    suite.run(*SHORT).assert_outcomes(failed=1)
    status, failures = suite.outcomes()["digits-snn500"]
    assert status == "failed"
    assert "an afterthought" in failures[0]


def test_malformed_bands(suite: Suite) -> None:
    """A bands file that can't be read is an error that names the file, not a missing band."""
    (suite.path / "benchmarks" / "bands.toml").write_text("schema = 1\n[[runs]]\ncell = 3\n")
    suite.run(*SHORT).assert_outcomes(failed=1)
    status, failures = suite.outcomes()["digits-snn500"]
    assert status == "error"
    assert "bands.toml: field 'runs.0.cell'" in failures[0]
