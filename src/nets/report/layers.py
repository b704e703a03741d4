"""A network's modules, one by one, as tables: what they are, and what each costs in a training step."""

from __future__ import annotations

from nets.records.cell import Layer, Network
from nets.records.comparisons import LayerTimes, PartOfStep
from nets.report.document import Cell, Part, Row, Sentence, Table, row, table
from nets.report.text import ABSENT

HEADINGS = ("layer", "kind", "output", "parameters", "multiply-\naccumulates", "longest\npath")
TIMES = ("layer", "kind", "forward\n(ms)", "backward\n(ms)", "of the\nstep")
MAX_NAME, MAX_KIND = 28, 17
"""Characters of them that leave room for the times on a line of 80."""
INTERRUPTED = 0.9
"""Medians of parts that add up to less of the median step are of steps that were interrupted, each in another part."""
ITSELF = "(the network itself)"


def layer_table(network: Network) -> Table:
    """With the sums below: what lies on the longest path is strong, and numbered by the network's layers."""
    rows: list[Row] = []
    n_before = 0
    for layer in network.table:
        rows.append(row(_cells(layer, n_before), "strong" if layer.on_longest_path else "dim"))
        n_before += layer.on_longest_path
    sums = [f"{sum(getattr(layer, name) for layer in network.table):,}" for name in ("parameters", "macs_per_image")]
    rows.append(row(("", "", "", *sums, f"{n_before} layers")))
    return table(HEADINGS, rows, right=HEADINGS[3:5])


def _cells(layer: Layer, n_before: int) -> tuple[str | Cell, ...]:
    """`n_before`: the layers of the rows above."""
    first, last = n_before + 1, n_before + layer.on_longest_path
    on_path = "" if last < first else str(first) if last == first else f"{layer.on_longest_path} of them"
    return (
        layer.name or ITSELF,
        layer.kind,
        ABSENT if layer.output is None else "x".join(map(str, layer.output)) or "a number",
        _count(layer.parameters),
        _count(layer.macs_per_image),
        Cell(on_path, value=first if on_path else None),
    )


def _count(n: int | None) -> Cell:
    return Cell(f"{n:,}" if n else "", value=n or 0)


def layer_times(network: Network, times: LayerTimes) -> list[Part]:
    """The time of each module in a step, and what belongs to none; the columns add up to the sums below."""
    parts: list[tuple[str, str, PartOfStep]] = [
        *((module.name or ITSELF, module.kind, module) for module in times.modules),
        ("", "loss", times.loss),
        ("", "the rest", times.rest),
    ]
    forward, backward = (sum(getattr(part, name) for *_, part in parts) for name in ("forward_s", "backward_s"))
    whole = forward + backward + times.optimizer_s
    ran = {module.name for module in times.modules}
    rows = [
        *(_time_row(*part, whole) for part in parts[:-2]),
        *((_end(layer.name, MAX_NAME), layer.kind, "", "", "") for layer in network.table if layer.name not in ran),
        *(_time_row(*part, whole) for part in parts[-2:]),
        ("", "optimizer", "", "", _share(times.optimizer_s, whole)),
        ("", "", _ms(forward), _ms(backward), _share(whole, whole)),
    ]
    said = [_how(times)]
    if whole < INTERRUPTED * times.step_s:
        share = f"{whole / times.step_s:.0%}"
        said.append(f"The parts add up to {share} of a step only: other work on this machine interrupted the steps.")
    if times.unseen:
        named = ", ".join(times.unseen)
        said.append(f"Not called as modules, so that their time is in what encloses them: {named}")
    return [table(TIMES, rows, right=TIMES[2:], caption="A training step by layer"), *map(Sentence, said)]


def _how(times: LayerTimes) -> str:
    """Of what the times are."""
    steps = f"Medians of {times.n_steps} training steps of {times.batch_size} images under torch's profiler"
    step, unprofiled = (f"{_ms(seconds)} ms" for seconds in (times.step_s, times.unprofiled_step_s))
    if times.clock == "kernels":
        return f"{steps}: the GPU's kernels and copies, {step} of a step that takes {unprofiled} without the profiler."
    return f"{steps}, whose own work is in them: a step took {step}, and {unprofiled} without it."


def _time_row(name: str, kind: str, part: PartOfStep, whole: float) -> tuple[str, ...]:
    times = (_ms(part.forward_s), _ms(part.backward_s), _share(part.forward_s + part.backward_s, whole))
    return (_end(name, MAX_NAME), kind if len(kind) <= MAX_KIND else f"{kind[: MAX_KIND - 1]}…", *times)


def _end(name: str, length: int) -> str:
    """The end of a long name, from a dot on if there is one, which tells it from its neighbours."""
    if len(name) <= length:
        return name
    end = name[1 - length :]
    return f"…{end.partition('.')[2] or end}"


def _ms(seconds: float) -> str:
    """Nothing where something takes no part."""
    return f"{1e3 * seconds:,.3f}" if seconds else ""


def _share(seconds: float, whole: float) -> str:
    return f"{seconds / whole:.1%}" if seconds else ""
