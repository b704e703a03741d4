"""Where networks of one's own come from: a file or a module, imported as `python FILE` or `python -m MODULE` would be.

Its neighbours, and the package that it lies in, are found while it is imported and whenever its builders are called.
Between these, and after them, the process's path, arguments and modules are what they were.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from nets.cells.held_output import holding_stderr
from nets.errors import NetsError

MAIN = 'what it does as a program belongs under `if __name__ == "__main__":`'

NETS = str(Path(__file__).parents[1])
_NEVER_HIDDEN = {"__main__", "nets"}


class Undeclared(NetsError):
    """A module, file or declaration that gives no networks; the message says what is wrong with it, and where."""


class Ended(NetsError):
    """A user's code asked for the end of the program, as argparse does; the message has its last words."""


@dataclass
class Surroundings:
    """What a user's module finds around it: the folders it imports from, and itself as the program's arguments.

    `source`: as the user named it. `folders`: first on the path; `fallback`: last on it. `stem`: the name under which
    the file itself would hide a module of another folder; None for a module that has its real name.
    """

    source: str
    folders: list[str]
    fallback: list[str] = field(default_factory=list)
    stem: str | None = None
    _hidden: dict[str, ModuleType] = field(default_factory=dict)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Run the block in them. Raises Ended for a SystemExit; a KeyboardInterrupt names the source."""
        argv, path, before = sys.argv, sys.path, list(sys.path)
        others = self._foreign_modules()
        for name in others:
            del sys.modules[name]
        known = set(sys.modules)
        sys.modules.update(self._hidden)
        sys.argv = [self.source]
        sys.path = [*self.folders, *(each for each in before if each not in self._ours), *self.fallback]
        sys.meta_path.insert(0, self)
        try:
            with holding_stderr() as held:
                try:
                    yield
                except SystemExit as ended:
                    raise Ended(_last_words(ended, held.dropped())) from None
                except KeyboardInterrupt:
                    raise KeyboardInterrupt(f"in {self.source}: {MAIN}") from None
        finally:
            sys.meta_path.remove(self)
            self.folders += [each for each in sys.path if each not in before and each not in self._ours]
            path[:] = before
            sys.argv, sys.path = argv, path
            self._hide(others, known)

    def bound(self, builder: Callable[..., Any]) -> Callable[..., Any]:
        """The same builder, called in them."""

        @functools.wraps(builder, updated=())
        def called(*args: Any, **kwargs: Any) -> Any:
            with self.entered():
                return builder(*args, **kwargs)

        return called

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Find an installed module that has the file's own name, for `import`; the file would be found before it."""
        if path is not None or name != self.stem:
            return None
        return PathFinder.find_spec(name, [each for each in sys.path if each not in self.folders])

    @property
    def _ours(self) -> tuple[str, ...]:
        return (*self.folders, *self.fallback)

    def _foreign_modules(self) -> dict[str, ModuleType]:
        """Modules of files elsewhere that would be taken for ones that lie in these folders."""
        foreign = {name.partition(".")[0] for name in self._hidden}
        for name, module in list(sys.modules.items()):
            if "." in name or name in _NEVER_HIDDEN:
                continue
            folder = _folder_of(module)
            if folder is None or folder in self._ours or _is_installed(folder):
                continue
            if any(_lies_in(each, name) for each in self._ours):
                foreign.add(name)
        return _with_submodules(foreign)

    def _hide(self, others: dict[str, ModuleType], known: set[str]) -> None:
        """Give modules elsewhere their names back; those of these folders are kept aside until they are entered."""
        new = [name for name in list(sys.modules) if "." not in name and name not in known | _NEVER_HIDDEN]
        own = {name for name in new if _folder_of(sys.modules[name]) in self._ours}
        self._hidden.update(_with_submodules({name for name in own if name in others or _is_elsewhere(name)}))
        for name in self._hidden:
            sys.modules.pop(name, None)
        sys.modules.update(others)


@dataclass(frozen=True)
class Imported:
    """A user's module, and its surroundings."""

    module: ModuleType
    surroundings: Surroundings


def imported(source: str) -> Imported:
    """A file (`path/to/nets.py`) or a module, of the working folder, of its `src`, or installed. Raises Undeclared."""
    path = _file(source)
    if path is None:
        where, load = _by_name(source)
    else:
        where, load = _by_path(source, path)
    importlib.invalidate_caches()
    try:
        with where.entered():
            module = load()
    except NetsError as error:
        raise Undeclared(f"{source}: {error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # pytest's skip, too
        raise Undeclared(f"{source}: {_raised(error, source)}") from error
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
        found = _folder_of(importlib.import_module(packages[0]))
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


def _folder_of(module: ModuleType) -> str | None:
    """The folder from which a module with no dot in its name is imported; None for one that lies in none."""
    with suppress(Exception):  # a lazy module may raise anything
        if paths := list(vars(module).get("__path__", ())):
            return _real(os.path.dirname(paths[0]))  # noqa: PTH120  # hundreds of modules: pathlib takes thrice as long
        file = vars(module).get("__file__")
        return _real(os.path.dirname(file)) if isinstance(file, str) else None  # noqa: PTH120
    return None


@functools.cache
def _real(folder: str) -> str:
    return os.path.realpath(folder)


@functools.cache
def _is_installed(place: str) -> bool:
    """Whether a folder or a file belongs to an environment, or to Python itself."""
    path = Path(place)
    if "site-packages" in path.parts or "dist-packages" in path.parts:
        return True
    return any(path.is_relative_to(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))


def _is_elsewhere(name: str) -> bool:
    """Whether a module that is imported hides another one of its name: an installed one, or Python's own."""
    if name in sys.stdlib_module_names:
        return True
    with suppress(Exception):  # a finder's
        spec = PathFinder.find_spec(name)
        if spec is not None and spec.origin is not None:
            return _real(spec.origin) != _real(getattr(sys.modules[name], "__file__", None) or "")
    return False


def _lies_in(folder: str, name: str) -> bool:
    return Path(folder, f"{name}.py").is_file() or Path(folder, name, "__init__.py").is_file()


def _with_submodules(roots: set[str]) -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in roots}


def _last_words(ended: SystemExit, printed: str) -> str:
    words = printed.strip().splitlines()
    said = ended.code if isinstance(ended.code, str) else words[-1] if words else ""
    said = f", with the words {said.strip()!r}" if said.strip() else ""
    return f"it ended the program (SystemExit){said}: {MAIN}"


def _raised(error: BaseException, source: str) -> str:
    """What importing raised, in which line of whose code."""
    because = str(error).strip().partition("\n")[0] or "no reason given"
    if "no known parent package" in because:
        because += ": an __init__.py in its folder would make one of it"
    user = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<", NETS)) and not _is_installed(frame.filename)
    ]
    where = f" ({Path(user[-1].filename).name}, line {user[-1].lineno})" if user else ""
    if isinstance(error, SyntaxError) and "line" in because:  # it says which
        where = ""
    return f"importing it raised {type(error).__name__}: {because}{where}"
