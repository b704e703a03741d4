"""Networks of one's own: declared with a decorator, found in a file, a module or an installed package -> cells.

    from torch import nn
    from nets import network

    @network(dataset="mnist", layers=2)
    def snn100():
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))

An installed package names such a module in its entry points, group `nets.networks`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from types import FrameType, ModuleType
from typing import Any, TypeVar

from nets.cells.catalog import CELLS, REFERENCE, Cell, Expected, protocol_for
from nets.cells.sources import Imported, Undeclared, imported
from nets.errors import UnknownName
from nets.records.cell import Verdict

GROUP = "nets.networks"
_DECLARED = "__nets_networks__"
B = TypeVar("B", bound=Callable[..., Any])


def network(
    *builder: object,
    dataset: str | Sequence[str] = (),
    name: str | None = None,
    layers: int | None = None,
    parameters: int | None = None,
    classical: Verdict | None = None,
) -> Callable[[B], B]:
    """Declare a network of the module in which this is called: the decorated function or class builds it.

    Called without arguments, or, where it has two, with an image's shape (C, H, W) and the number of classes, it
    returns an `nn.Module` from (N, C, H, W) float32 to logits (N, n_classes). `dataset`: one data set or several.
    `name`: its own by default, which a lambda and a partial lack. The others are held against what the suite finds;
    what is not given is not checked.
    """
    if builder:
        raise Undeclared('@network is called with a data set: @network(dataset="mnist")')

    def declare(builder: B) -> B:
        model = name or getattr(builder, "__name__", None)
        if (fault := _no_builder(builder, model)) is not None:
            raise Undeclared(fault)
        assert model is not None
        datasets = [dataset] if isinstance(dataset, str) else list(dict.fromkeys(dataset))
        if not datasets:
            raise Undeclared(f'{model}: no data set is named: @network(dataset="mnist")')
        expected = Expected(parameters=parameters, layers=layers, classical=classical)
        declared: list[Cell] = _importing(sys._getframe(1)).setdefault(_DECLARED, [])
        declared += [Cell(each, model, expected, build=builder) for each in datasets]
        return builder

    return declare


def _no_builder(builder: object, name: str | None) -> str | None:
    """Why this can't be declared; None if it can."""
    if any((kind.__module__, kind.__name__) == ("torch.nn.modules.module", "Module") for kind in type(builder).__mro__):
        return "@network: this is a network, and every round needs a fresh one: declare a function that builds it"
    if not callable(builder):
        return f"@network decorates a function, a class or another builder, not a {type(builder).__name__}"
    if name in (None, "<lambda>"):
        what = "a lambda" if name else f"a {type(builder).__name__}"
        return f"@network: {what} has no name of its own: give one, network(dataset=..., name=...)"
    return None


def _importing(frame: FrameType) -> dict[str, Any]:
    """The names of the module that is being imported, from the frame in which a builder is declared.

    A function of another module may stand between, which declares what it is given.
    """
    outer: FrameType | None = frame
    while outer is not None and outer.f_code.co_name != "<module>":
        outer = outer.f_back
    return (outer or frame).f_globals


def known_cells(sources: Iterable[str]) -> tuple[Cell, ...]:
    """The suite's own cells, those of installed packages, and those of `sources`, files or modules.

    Each data set that they name has its reference network beside them, for the cost-aware verdict. Raises Undeclared.
    """
    found = list(CELLS)
    for source, its in [*_installed(), *((source, imported(source)) for source in sources)]:
        module = its.module if isinstance(its, Imported) else its
        declared: list[Cell] = vars(module).get(_DECLARED, [])
        if not declared:
            raise Undeclared(f"{source}: it declares no network: decorate a builder with @nets.network(dataset=...)")
        for cell in declared:
            if (fault := _fault(cell)) is not None:
                raise Undeclared(f"{source}: {fault}")
            if any(other.id == cell.id for other in found):
                raise Undeclared(f"{source}: the cell {cell.id} is there already: give the network another name")
            if isinstance(its, Imported) and cell.build is not None:
                cell = replace(cell, build=its.surroundings.bound(cell.build))
            found.append(cell)
    known = {cell.id for cell in found}
    references = dict.fromkeys(Cell(cell.dataset, REFERENCE) for cell in found)
    return (*found, *(cell for cell in references if cell.id not in known))


def _fault(cell: Cell) -> str | None:
    """What is wrong with a declared cell; None if nothing is."""
    name, expected = cell.model, cell.expected or Expected()
    if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
        return f"the name {name!r} has characters other than letters, digits and underscores"
    for field in ("layers", "parameters"):
        if not isinstance(getattr(expected, field), int | None):
            return f"{name}: {field} is {getattr(expected, field)!r}, not a whole number"
    if expected.classical not in (None, "shallow", "deep"):
        return f"{name}: classical is {expected.classical!r}, neither 'shallow' nor 'deep'"
    if "," in cell.dataset:
        return f"{name}: {cell.dataset!r} has a comma, which --cells takes for the next cell"
    try:
        protocol_for("quick", cell.dataset)
    except UnknownName as error:
        return f"{name}: {error}"
    return None


def _installed() -> list[tuple[str, ModuleType | Imported]]:
    found: list[tuple[str, ModuleType | Imported]] = []
    for entry in entry_points(group=GROUP):
        try:
            found.append((f"entry point {entry.name}", entry.load()))
        except (Exception, SystemExit) as error:
            raise Undeclared(f"entry point {entry.name} = {entry.value}: {type(error).__name__}: {error}") from error
    return found
