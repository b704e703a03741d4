"""The gate's report: what its table leaves out is told in a line."""

from __future__ import annotations

from nets.report.document import Sentence, Table
from nets.report.gate import gate_document, gate_parts
from tests.support.gating import judged, run
from tests.support.records import record


def test_what_the_table_leaves_out() -> None:
    """The verdict's numbers are those of the table's rows and of the findings that the line below it counts."""
    gate = judged(run(record()), run(record()))
    parts = gate_parts(gate)
    [shown] = [part for part in parts if isinstance(part, Table)]
    [line] = [part.text for part in parts if isinstance(part, Sentence) and part.text.startswith("not in the table")]
    n_left_out = len(gate.findings) - len(shown.rows)
    assert f"{n_left_out} more findings, of outcome, train_s" in line
    assert {"total_s", "accuracy"}.isdisjoint(line.replace(",", "").split())


def test_no_line_where_nothing_is_left_out() -> None:
    """Findings that are all in the table, here none, need no line below it."""
    parts = gate_document(judged(run(record()), run(record())).replace(findings=()))
    assert not any(isinstance(part, Table) for part in parts)
    assert not any("not in the table" in part.text for part in parts if isinstance(part, Sentence))
