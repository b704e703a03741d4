"""Networks of one's own: declared with a decorator, found in a file, a module or an installed package -> cells.

    from torch import nn
    from nets import network

    @network(dataset="mnist", layers=2)
    def snn100():
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))

An installed package names such a module in its entry points, group `nets.networks`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from nets.cells.catalog import CELLS, REFERENCE, Cell, Expected, protocol_for
from nets.errors import NetsError, UnknownName
from nets.records.cell import Verdict

GROUP = "nets.networks"
_DECLARED = "__nets_networks__"
B = TypeVar("B", bound=Callable[..., Any])


class Undeclared(NetsError):
    """A module, file or declaration that gives no networks; the message says what is wrong with it, and where."""


def network(
    *,
    dataset: str | Sequence[str],
    name: str | None = None,
    layers: int | None = None,
    parameters: int | None = None,
    classical: Verdict | None = None,
) -> Callable[[B], B]:
    """Declare a network: the decorated function or class builds it.

    Called without arguments, or, where it has two, with an image's shape (C, H, W) and the number of classes, it
    returns an `nn.Module` from (N, C, H, W) float32 to logits (N, n_classes). `dataset`: one data set or several.
    `name`: its own by default. The others are held against what the suite finds; what is not given is not checked.
    """

    def declare(builder: B) -> B:
        if not (inspect.isfunction(builder) or inspect.isclass(builder)):
            raise Undeclared(f"@network decorates a function or a class, not a {type(builder).__name__}")
        model = name or builder.__name__
        datasets = [dataset] if isinstance(dataset, str) else list(dict.fromkeys(dataset))
        if not datasets:
            raise Undeclared(f"{model}: no data set is named")
        expected = Expected(parameters=parameters, layers=layers, classical=classical)
        declared: list[Cell] = vars(sys.modules[builder.__module__]).setdefault(_DECLARED, [])
        declared += [Cell(each, model, expected, build=builder) for each in datasets]
        return builder

    return declare


def known_cells(sources: Iterable[str]) -> tuple[Cell, ...]:
    """The suite's own cells, those of installed packages, and those of `sources`, files or modules.

    Each data set that they name has its reference network beside them, for the cost-aware verdict. Raises Undeclared.
    """
    found = list(CELLS)
    for source, module in [*_installed(), *((source, imported_module(source)) for source in sources)]:
        declared: list[Cell] = vars(module).get(_DECLARED, [])
        if not declared:
            raise Undeclared(f"{source}: it declares no network: decorate a builder with @nets.network(dataset=...)")
        for cell in declared:
            if (fault := _fault(cell)) is not None:
                raise Undeclared(f"{source}: {fault}")
            if any(other.id == cell.id for other in found):
                raise Undeclared(f"{source}: the cell {cell.id} is there already: give the network another name")
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


def imported_module(source: str) -> ModuleType:
    """A file (`path/to/nets.py`), or a module that can be imported from the working folder. Raises Undeclared."""
    path = Path(source).expanduser()
    if path.suffix == ".py" and not path.is_file():
        raise Undeclared(f"{path}: there is no such file")
    try:
        if path.suffix == ".py":
            return _executed(path)
        here = str(Path.cwd())
        sys.path.insert(0, here)
        try:
            return importlib.import_module(source)
        finally:
            sys.path.remove(here)
    except Undeclared as error:
        raise Undeclared(f"{source}: {error}") from error
    except (Exception, SystemExit) as error:
        because = str(error) or "no reason given"
        raise Undeclared(f"{source}: importing it raised {type(error).__name__}: {because}") from error


def _executed(path: Path) -> ModuleType:
    name = "nets_of_" + re.sub(r"\W", "_", path.stem)
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and the decorator look there
    spec.loader.exec_module(module)
    return module


def _installed() -> list[tuple[str, ModuleType]]:
    found = []
    for entry in entry_points(group=GROUP):
        try:
            found.append((f"entry point {entry.name}", entry.load()))
        except Exception as error:
            raise Undeclared(f"entry point {entry.name} = {entry.value}: {type(error).__name__}: {error}") from error
    return found
