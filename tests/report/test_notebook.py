"""The article's analysis as a notebook: it runs as it is."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from IPython.display import HTML
from nbclient import NotebookClient

from nets.errors import Unusable
from nets.report.document import Page
from nets.report.notebook import displays, show
from tests.report.test_pages import PREDICTIONS, Found, made, section
from tests.support.gating import run
from tests.support.records import record

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "article.ipynb"


def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs without a GPU; tables, curves, the three criteria and the samples' images are displayed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    options = ["--device", "cpu", "--rounds", "1", "--epochs", "1", "-p", "no:hypothesispytest", "-p", "no:anyio"]
    parameters.source = f'import torch\nDATASETS = ["digits"]\nOPTIONS = {options}'
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    shown = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert shown.count("image/svg+xml") >= 6
    assert shown.count("data:image/png") >= 36
    assert "3 of 3 passed." in shown
    assert '"output_type": "error"' not in shown


def test_it_is_stored_without_output() -> None:
    """What stands in the repository is the source alone."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


def test_texts_are_inert() -> None:
    """A class's name is text, and an image that is not here leaves its caption."""
    named = PREDICTIONS.replace(class_names=("<script>", "dog"))
    whole = made(run(record(predictions=named)), pictures=lambda _: Found({}, {7: b"png"}))
    html = "".join(
        each.data for each in displays(section(whole, "Samples and mistakes").parts) if isinstance(each, HTML)
    )
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<img") == 1


def test_a_section_that_is_not_there() -> None:
    """It is refused, with the titles that there are."""
    with pytest.raises(Unusable, match="no section 'The GPU'; it has The run, Results"):
        show(Page("a", "b", made(run(record())).parts), "The GPU")
