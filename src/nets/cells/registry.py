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
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Declaration:
    """A builder of a network, as its decorator declares it."""

    builder: Callable[..., Any]
    name: str
    datasets: tuple[str, ...]
    expected: Expected

    def cells(self) -> tuple[Cell, ...]:
        """One cell a data set. Raises Undeclared."""
        if not isinstance(self.name, str) or not re.fullmatch(r"\w+", self.name):
            raise Undeclared(f"the name {self.name!r} has characters other than letters, digits and underscores")
        if not self.datasets:
            raise Undeclared(f"{self.name}: no data set is named")
        for field in ("layers", "parameters"):
            if not isinstance(getattr(self.expected, field), int | None):
                raise Undeclared(f"{self.name}: {field} is {getattr(self.expected, field)!r}, not a whole number")
        if self.expected.classical not in (None, "shallow", "deep"):
            raise Undeclared(f"{self.name}: classical is {self.expected.classical!r}, neither 'shallow' nor 'deep'")
        for dataset in self.datasets:
            if "," in dataset:
                raise Undeclared(f"{self.name}: {dataset!r} has a comma, which --cells takes for the next cell")
            try:
                protocol_for("quick", dataset)
            except UnknownName as error:
                raise Undeclared(f"{self.name}: {error}") from None
        return tuple(Cell(dataset, self.name, self.expected, build=self.builder) for dataset in self.datasets)


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
        datasets = (dataset,) if isinstance(dataset, str) else tuple(dict.fromkeys(dataset))
        expected = Expected(parameters=parameters, layers=layers, classical=classical)
        declared: list[Declaration] = vars(sys.modules[builder.__module__]).setdefault(_DECLARED, [])
        declared.append(Declaration(builder, name or builder.__name__, datasets, expected))
        return builder

    return declare


def known_cells(sources: Iterable[str]) -> tuple[Cell, ...]:
    """The suite's own cells, those of installed packages, and those of `sources`, files or modules.

    Each data set that they name has its reference network beside them, for the cost-aware verdict. Raises Undeclared.
    """
    found = list(CELLS)
    for source, module in [*_installed(), *((source, imported_module(source)) for source in sources)]:
        declared: list[Declaration] = vars(module).get(_DECLARED, [])
        if not declared:
            raise Undeclared(f"{source}: it declares no network: decorate a builder with @nets.network(dataset=...)")
        for declaration in declared:
            try:
                new = declaration.cells()
            except Undeclared as error:
                raise Undeclared(f"{source}: {error}") from None
            for cell in new:
                if any(other.id == cell.id for other in found):
                    raise Undeclared(f"{source}: the cell {cell.id} is there already: give the network another name")
                found.append(cell)
    known = {cell.id for cell in found}
    references = dict.fromkeys(Cell(cell.dataset, REFERENCE) for cell in found)
    return (*found, *(cell for cell in references if cell.id not in known))


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
