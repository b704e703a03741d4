"""A document in a terminal: no line is longer than that is wide, and no word is broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from nets.records.cell import Layer, Network
from nets.report.bands import band_parts
from nets.report.document import Cell, Column, Part, Section, Sentence, Table, row, table
from nets.report.gate import gate_document
from nets.report.layers import layer_table
from nets.report.run import growth, run_parts
from nets.report.terminal import terminal_lines
from nets.verdicts.band_rates import rates_of_bands
from nets.verdicts.bands import read_bands
from tests.report.test_run import on_gpu
from tests.support.gating import judged, rounds, run
from tests.support.hostile import EVIL, demand_inert
from tests.support.records import GROWTH, record, seen_of_gpu, traced
from tests.support.suite import REPOSITORY

WIDTHS = (60, 80, 120, 200)
LEAST_ROOM = 5
"""A block's second line is indented by so many characters."""


def natural(parts: list[Part]) -> list[str]:
    return terminal_lines(parts, width=None, color=False)


def at(width: int, parts: list[Part], **how: str) -> list[str]:
    return terminal_lines(parts, width=width, color=False, **how)


words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"], exclude_characters=":#"), min_size=1)
texts = st.lists(words, max_size=6).map(" ".join)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Any table, some of its columns to go below others."""
    n = draw(st.integers(1, 7))
    columns = []
    for i in range(n):
        below = f"{draw(st.integers(0, n - 1))}" if draw(st.booleans()) else None
        heading = f"{i}"  # by which another says that it goes below
        columns.append(Column(heading, draw(st.booleans()), below=below, mark=draw(st.sampled_from(["", "theirs"]))))
    rows = draw(st.lists(st.lists(texts, min_size=n, max_size=n), max_size=4))
    return Table(tuple(columns), tuple(row(cells) for cells in rows), by_column=draw(st.booleans()))


@given(tables(), st.integers(20, 220))
def test_any_table_in_any_width(any_table: Table, width: int) -> None:
    """No line is longer than the terminal, each cell's words are there in order, and none but a long one is broken."""
    lines = at(width, [any_table])
    assert max(map(cell_len, lines)) <= width
    seen = " ".join(lines).split()
    for cells in (each.cells for each in any_table.rows):
        for cell in cells:
            whole = natural([Sentence(cell.text)])[0].split()  # what is invisible replaced
            if all(cell_len(word) <= width - LEAST_ROOM for word in whole):
                following = iter(seen)
                assert all(word in following for word in whole), (cell.text, lines)
            else:
                assert all(word[:10] in "".join(seen) for word in whole), (cell.text, lines)


@given(tables(), st.integers(20, 220))
def test_a_table_that_fits_is_as_it_is(any_table: Table, width: int) -> None:
    """Where there is room, or no width, each row stays on one line and each column in its place, three spaces apart."""
    texts = [[natural([Sentence(cell.text)])[0] for cell in each.cells] for each in any_table.rows]
    headings = [column.heading for column in any_table.columns]
    widths = [max(map(cell_len, column)) for column in zip(headings, *texts, strict=True)]

    def line(cells: list[str]) -> str:
        aligned = [
            f"{(size - cell_len(cell)) * ' '}{cell}" if column.right else f"{cell}{(size - cell_len(cell)) * ' '}"
            for cell, size, column in zip(cells, widths, any_table.columns, strict=True)
        ]
        return f" {'   '.join(aligned)}".rstrip()

    rule = f" {(sum(widths) + 3 * len(widths) - 3) * '─'}"
    as_it_is = "\n".join(["", line(headings), rule, *map(line, texts)]).rstrip().split("\n")
    assert natural([any_table]) == as_it_is
    if len(rule) <= width:
        assert at(width, [any_table]) == as_it_is


@given(texts, st.integers(0, 40), st.integers(20, 220))
def test_any_sentence_in_any_width(text: str, level: int, width: int) -> None:
    """A sentence is broken at spaces, below its first line it is indented, and it is whole."""
    lines = at(width, [Sentence("x"), Sentence(text, level=level)])[1:]
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join("".join(natural([Sentence("x"), Sentence(text)])[1:]).split())


def test_a_number_stays_with_its_unit() -> None:
    """A line ends neither between a number and its unit, nor after the sign of a deviation."""
    text = "some words 0.9800 ± 0.0010 and 61.23 % (of 100.0 MiB), 3.5 J"
    for width in range(20, 60):
        lines = at(width, [Sentence(text)])
        for whole in ("± 0.0010", "61.23 %", "100.0 MiB),", "3.5 J"):
            assert any(whole in line for line in lines), lines


STACKED = table(
    ("network", "time (s)", "test\naccuracy", "article:\ntime (s)"),
    [("lenet5", "2.00", "0.98 ± 0.01", "199.33")],
    right=("time (s)", "test\naccuracy", "article:\ntime (s)"),
    below={"article:\ntime (s)": ("time (s)", "article:")},
)


def test_the_article_s_column_goes_below_ours() -> None:
    """Where there is no room beside it, a column's values go below another's, on a line that says whose they are."""
    assert at(60, [STACKED]) == natural([STACKED])
    assert at(36, [STACKED]) == [
        "",
        "                                test",
        " network      time (s)      accuracy",
        " ───────────────────────────────────",
        " lenet5           2.00   0.98 ± 0.01",
        "   article:     199.33",
    ]
    assert at(30, [STACKED])[4:] == [
        " lenet5         2.00      0.98",
        "                        ± 0.01",
        "   article:   199.33",
    ]


def test_blocks_where_nothing_else_fits() -> None:
    """Where not even broken cells fit, each row is a block of headings and values."""
    assert at(20, [STACKED]) == [
        "",
        " network: lenet5",
        "   time (s): 2.00",
        "   test accuracy:",
        "     0.98 ± 0.01",
        "   article: time",
        "     (s): 199.33",
    ]


def test_a_table_of_things_by_column_is_parted() -> None:
    """The GPU summary of many networks is several tables, each with what its rows say."""
    seen = on_gpu(seen_of_gpu("soak", utilization_pct=93.0), trace=traced(), trace_missing_because=None)
    parts = run_parts([record(model=f"network{i}", **seen) for i in range(10)])
    lines = at(80, parts)
    heads = [line.split()[3:] for line in lines if "GPU summary" in line]
    assert [name for names in heads for name in names] == [f"network{i}" for i in range(10)]
    assert len(heads) > 1
    assert sum("NVML: utilization" in line for line in lines) == len(heads)


def test_a_broken_line_is_inert() -> None:
    """No command to a runner begins a line that was broken from a longer one."""
    evil = f"{EVIL} {' '.join(n * 'x' + ' ::error::x ##[error]x' for n in range(40))}"
    found = record(model=evil)
    for width in range(20, 100, 7):
        lines = at(width, [Sentence(evil), table(("a", "b"), [(evil, evil)]), *run_parts([found])])
        demand_inert("\n".join(lines))
        assert max(map(cell_len, lines)) <= width


NETWORK = Network(
    parameters=10**9, layers=2, hidden_layers=1, macs_per_image=10**12,
    table=tuple(
        Layer(name=f"features.{i}.a_block_of_some_length.0", kind="Conv2d", output=(512, 64, 64),
              parameters=123_456_789, macs_per_image=123_456_789_000, on_longest_path=i)
        for i in range(2)
    ),
)  # fmt: skip


def documents() -> dict[str, list[Part]]:
    """One of every kind."""
    seen = seen_of_gpu("soak", reasons=("another process is on the GPU",), utilization_pct=93.0, power_w=150.0)
    gpu = on_gpu(seen, trace=traced(), trace_missing_because=None)
    cells = [record(dataset=name, model=model) for name in ("mnist", "cifar10") for model in ("snn500", "lenet5")]
    slower = [record(model=each.cell.model, dataset=each.cell.dataset, rounds=rounds([5.0, 6.0])) for each in cells]
    bands = read_bands(REPOSITORY / "benchmarks" / "bands.toml")
    return {
        "run": run_parts(cells),
        **{f"GPU {n}": run_parts([record(model=f"network{i}", **gpu) for i in range(n)]) for n in (1, 3, 10)},
        "gate": gate_document(judged(run(*cells), run(*slower))),
        "layers": [layer_table(NETWORK)],
        "bands": band_parts(rates_of_bands(bands.replace(runs=bands.runs[:2]))),
        "growth": growth([GROWTH]),
        "sections": [Section("title " * 30, (Sentence("text " * 50, level=2), STACKED))],
    }


DOCUMENTS = documents()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_every_document_in_every_width(name: str, width: int, encoding: str) -> None:
    """No line is longer than the terminal, in colour and without, nor is a word of the document broken."""
    parts = DOCUMENTS[name]
    lines = at(width, parts, encoding=encoding)
    assert max(map(cell_len, lines)) <= width
    assert encoding != "ascii" or "".join(lines).isascii()
    seen = {word for line in lines for each in line.split() for word in (each, each.removesuffix(":"))}
    seen |= {part for word in seen for part in word.replace("multiply-", "multiply- ").split()}
    whole = terminal_lines(parts, width=None, color=False, encoding=encoding)
    assert {word for line in whole for word in line.split() if word.strip("─-") and word not in seen} == set()
    colored = terminal_lines(parts, width=width, color=True, encoding=encoding)
    assert len(colored) == len(lines)


def test_colors_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for in colour is in colour: who asks has looked at the environment."""
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    assert terminal_lines([table(("a",), [(Cell("x", "bad"),)])], width=80, color=True)[-1] == " \x1b[31mx\x1b[0m"
