"""Where networks of one's own come from: a file or a module, imported as `python FILE` or `python -m MODULE` would be.

Its neighbours, and the package that it lies in, are found while it is imported and whenever its builders are called:
`nets.cells.surroundings`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from nets.cells.surroundings import MAIN, Surroundings, folder_of, is_installed
from nets.errors import NetsError

NETS = str(Path(__file__).parents[1])


class Undeclared(NetsError):
    """A module, file or declaration that gives no networks; the message says what is wrong with it, and where."""


@dataclass(frozen=True)
class Imported:
    """A user's module, and its surroundings."""

    module: ModuleType
    surroundings: Surroundings


def imported(source: str) -> Imported:
    """A file (`path/to/nets.py`) or a module, of the working folder, of its `src`, or installed. Raises Undeclared."""
    path = _file(source)
    where, load = _by_name(source) if path is None else _by_path(source, path)
    importlib.invalidate_caches()
    try:
        with where.entered():
            module = load()
    except NetsError as error:
        raise Undeclared(f"{source}: {error}") from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"in {source}: {MAIN}") from None
    except BaseException as error:  # pytest's skip, too
        raise Undeclared(f"{source}: {_raised(error)}") from error
    return Imported(module, where)


def _file(source: str) -> Path | None:
    """The file that is meant; None where it is a module's name. Raises Undeclared for what can be neither."""
    try:
        path = Path(source).expanduser()
        is_there, is_folder = path.exists(), path.is_dir()
        is_file = path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # too long a name, a user that isn't there
        raise Undeclared(f"{source}: there is no such file: {error}") from error
    if path.suffix == ".py" or os.sep in source:
        if is_folder:
            raise Undeclared(f"{source}: it is a folder: name a file in it, or a module")
        if not is_there:
            raise Undeclared(f"{source}: there is no such file")
        if not is_file or path.suffix != ".py":
            raise Undeclared(f"{source}: it is not a file of Python code, whose name ends in .py")
        if path.name == "__main__.py":
            raise Undeclared(f"{source}: it is a program, which `python -m` runs: declare networks in another file")
        return path.resolve()
    file, colon, _ = source.partition(".py:")
    if colon:
        raise Undeclared(f"{source}: name the file alone, {file}.py, and its networks by --cells")
    if not all(part.isidentifier() for part in source.split(".")):
        raise Undeclared(f"{source!r} is neither a file, whose name ends in .py, nor the name of a module")
    if source.rpartition(".")[2] == "__main__":
        raise Undeclared(f"{source}: it is a program, which `python -m` runs: declare networks in another module")
    return None


def _by_name(source: str) -> tuple[Surroundings, Callable[[], ModuleType]]:
    here = Path.cwd()
    folders = [str(folder) for folder in (here, here / "src") if folder.is_dir()]

    def load() -> ModuleType:
        try:
            return importlib.import_module(source)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{source}.".startswith(f"{error.name}."):
                raise
        file = Path(*source.split(".")).with_suffix(".py")
        meant = f"; did you mean {file}?" if file.is_file() else ""
        raise Undeclared(f"there is no such module, neither here, nor in ./src, nor installed{meant}")

    return Surroundings(source, folders), load


def _by_path(source: str, path: Path) -> tuple[Surroundings, Callable[[], ModuleType]]:
    """A file of a package has its real name there; another one a name that no second file has."""
    packages: list[str] = []
    root = path.parent
    while (root / "__init__.py").is_file() and "." not in root.name:
        packages.insert(0, root.name)
        root = root.parent
    if not packages:
        name = f"nets_of_{_identifier(path)}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"
        return Surroundings(source, [str(root)], stem=path.stem), lambda: _executed(name, path)

    def load() -> ModuleType:
        found = folder_of(importlib.import_module(packages[0]))
        if found != str(root):
            raise Undeclared(f"its package has the name of another one, {packages[0]}, in {found}: rename the folder")
        package = importlib.import_module(".".join(packages))
        if path.stem == "__init__":
            return package
        if "." in path.stem:
            return _executed(f"{package.__name__}.{_identifier(path)}", path)
        return importlib.import_module(f"{package.__name__}.{path.stem}")

    return Surroundings(source, [str(root)], fallback=[str(path.parent)]), load


def _executed(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses, pickle and the decorator look there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _identifier(path: Path) -> str:
    return re.sub(r"\W", "_", path.stem)


def _raised(error: BaseException) -> str:
    """What importing raised, in which line of whose code."""
    because = str(error).strip().partition("\n")[0] or "no reason given"
    if "no known parent package" in because:
        because += ": an __init__.py in its folder would make one of it"
    user = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<", NETS)) and not is_installed(frame.filename)
    ]
    where = f" ({Path(user[-1].filename).name}, line {user[-1].lineno})" if user else ""
    if isinstance(error, SyntaxError) and "line" in because:  # it says which
        where = ""
    return f"importing it raised {type(error).__name__}: {because}{where}"
