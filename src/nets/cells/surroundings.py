"""What a user's module finds around it while its code runs: folders to import from, and itself as the program.

Between these times, and after them, the process's path, arguments and modules are what they were.
"""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
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
_NEVER_HIDDEN = {"__main__", "nets"}


class Ended(NetsError):
    """A user's code asked for the end of the program, as argparse does; the message has its last words."""


@dataclass(eq=False)
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
        """Run the block in them. Raises Ended for a SystemExit."""
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

        called.__name__ = getattr(builder, "__name__", type(builder).__name__)  # a partial has none
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
            folder = folder_of(module)
            if folder is None or folder in self._ours or is_installed(folder):
                continue
            if any(_lies_in(each, name) for each in self._ours):
                foreign.add(name)
        return _with_submodules(foreign)

    def _hide(self, others: dict[str, ModuleType], known: set[str]) -> None:
        """Give modules elsewhere their names back; those of these folders are kept aside until they are entered."""
        new = [name for name in list(sys.modules) if "." not in name and name not in known | _NEVER_HIDDEN]
        own = {name for name in new if folder_of(sys.modules[name]) in self._ours}
        self._hidden.update(_with_submodules({name for name in own if name in others or _is_elsewhere(name)}))
        for name in self._hidden:
            sys.modules.pop(name, None)
        sys.modules.update(others)


def folder_of(module: ModuleType) -> str | None:
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
def is_installed(place: str) -> bool:
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
