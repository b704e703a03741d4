"""`pytest benchmarks/ --report FILE`: the session as a page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.suite import Suite

ONE = ("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1")


def test_a_page(suite: Suite) -> None:
    """It has the verdict, the table, charts, the samples' images and the record, and the summary says where it is."""
    result = suite.run(*ONE, "--report", "page.html")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*report: *page.html*"])
    page = (suite.path / "page.html").read_text(encoding="utf-8")
    assert "1 of 1 passed." in page
    assert page.count("<svg") == 5
    assert page.count('class="matrix"') == 1
    assert page.count("data:image/png") >= 12
    assert page.count("data:application/gzip") == 1


def test_without_a_json_file(suite: Suite) -> None:
    """The page needs none."""
    arguments = ("benchmarks", "--device", "cpu", *ONE, "--report", "page.html")
    suite.pytester.runpytest_inprocess(*arguments).assert_outcomes(passed=1)
    assert "1 of 1 passed." in (suite.path / "page.html").read_text(encoding="utf-8")
    assert not suite.out.exists()


def test_a_failed_cell(suite: Suite) -> None:
    """A cell that fails has its page, with the reason; the exit status is the cell's."""
    suite.bands("digits-snn500", [0.999, 0.9991, 0.9992, 0.9993, 0.9994])
    result = suite.run("--cells", "digits-snn500", "--rounds", "1", "--report", "page.html")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    page = (suite.path / "page.html").read_text(encoding="utf-8")
    assert "0 of 1 passed. digits-snn500 did not." in page


def test_nothing_measured(suite: Suite) -> None:
    """Without a cell no page is written, and it is said; an old one stays."""
    (suite.path / "page.html").write_text("old")
    suite.conftest("import pytest\n@pytest.fixture\ndef data():\n    pytest.skip('no data')\n")
    result = suite.run(*ONE, "--report", "page.html")
    result.stdout.fnmatch_lines(["report: nothing was measured, *"])
    assert (suite.path / "page.html").read_text() == "old"


def test_interrupted(suite: Suite) -> None:
    """Ctrl-C leaves a page of what was finished, which says so."""
    suite.conftest("def pytest_runtest_setup(item):\n    if 'lenet5' in item.nodeid: raise KeyboardInterrupt\n")
    cells = ("--cells", "digits-snn500,digits-lenet5", "--epochs", "1", "--rounds", "1")
    assert suite.run(*cells, "--report", "page.html").ret == pytest.ExitCode.INTERRUPTED
    page = (suite.path / "page.html").read_text(encoding="utf-8")
    assert "1 of 1 passed. One cell did not run. The run was interrupted." in page


def test_with_a_gate(suite: Suite) -> None:
    """The page says what the gate found since its base, by the gate's limits."""
    assert suite.run(*ONE).ret == 0
    suite.out.rename(suite.path / "base.json")
    (suite.path / "gate.toml").write_text('[gate]\naccuracy = "4 %"\n')
    gate = ("--gate", "base.json", "--gate-config", "gate.toml")
    suite.run(*ONE, "--protocol", "quick", "--report", "page.html", *gate)
    page = (suite.path / "page.html").read_text(encoding="utf-8")
    assert re.search(r"<h1>1 of 1 passed\. Against base\.json: (nothing|\w+ figures?) regressed\.</h1>", page)
    assert ">4 points<" in page


def test_a_page_that_can_t_be_made(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the page's is a sentence, the session's figures are printed all the same, and it has failed."""
    monkeypatch.setattr("nets.report.html.html_text", None)
    result = suite.run(*ONE, "--report", "page.html")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["*digits*snn500*passed*", "report: *page.html is not written: TypeError: *"])


@pytest.mark.parametrize(
    ("file", "because"),
    [("none/page.html", "does not exist"), ("benchmarks", "is a folder"), ("out.json", "is a result file")],
)
def test_a_file_that_can_t_be_written(suite: Suite, file: str, because: str) -> None:
    """It is refused before a cell trains."""
    result = suite.run(*ONE, "--report", file)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--report: *{because}*"])


def test_a_file_that_is_lost_meanwhile(suite: Suite) -> None:
    """What can't be written at the end fails the session, in a sentence, and the records are written all the same."""
    (suite.path / "pages").mkdir()
    suite.conftest("import shutil\ndef pytest_runtest_teardown():\n    shutil.rmtree('pages', ignore_errors=True)\n")
    result = suite.run(*ONE, "--report", "pages/page.html")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["report: *page.html: it can't be written*"])
    assert suite.outcomes()["digits-snn500"][0] == "passed"


@pytest.mark.usefixtures("forked")
def test_with_workers(suite: Suite, tmp_path: Path) -> None:
    """The controller writes it, once, of all workers' cells."""
    cells = ("--cells", "digits-snn500,digits-lenet5", "--epochs", "1", "--rounds", "1", "-n", "2")
    suite.run(*cells, "--report", str(tmp_path / "page.html")).assert_outcomes(passed=2)
    assert "2 of 2 passed." in (tmp_path / "page.html").read_text(encoding="utf-8")
