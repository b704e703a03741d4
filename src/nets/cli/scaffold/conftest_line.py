"""The one line by which a repository's conftest.py loads the suite; what else stands there stays as it is."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator

from nets.errors import Unusable

PLUGIN = "nets.plugin"
LINE = f'pytest_plugins = ["{PLUGIN}"]'
NEW = f'"""Loads the benchmark suite `nets`."""\n\n{LINE}\n'
_NAME = "pytest_plugins"


def with_plugin(source: bytes, name: str) -> str:
    """A conftest's text with the suite among its plug-ins: unchanged if it is there.

    Raises Unusable for a file that is no Python, or whose list of plug-ins is not written out.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        text = source.decode(encoding)
        tree = ast.parse(source)
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise Unusable(f"{name}: it is no Python code ({error}): mend it, then run nets init again") from error
    if encoding not in ("utf-8", "utf-8-sig"):
        raise Unusable(f"{name}: it is written in {encoding}: add {LINE} to it yourself")
    given = list(_given(tree))
    if any(isinstance(node, ast.Constant) and node.value == PLUGIN for value in given for node in ast.walk(value)):
        return text
    if not given:
        end = "\r\n" if "\r\n" in text else "\n"
        between = end if not text.strip() or text.endswith("\n") else end * 2
        return f"{text}{between if text else ''}{LINE}{end}"
    (value, *others) = given
    if others or not isinstance(value, ast.List | ast.Tuple | ast.Constant):
        raise Unusable(f'{name}: its {_NAME} is not one list that is written out: add "{PLUGIN}" to it yourself')
    return _inserted(text, value)


def _given(tree: ast.Module) -> Iterator[ast.expr]:
    """What is given, anywhere at the module's level, as its plug-ins."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        if any(isinstance(target, ast.Name) and target.id == _NAME for target in targets):
            yield value


def _inserted(text: str, value: ast.List | ast.Tuple | ast.Constant) -> str:
    lines = io.StringIO(text.removeprefix("\ufeff"), newline="").readlines()  # where Python's parser ends a line
    start = _index(lines, value.lineno, value.col_offset)
    end = _index(lines, value.end_lineno or value.lineno, value.end_col_offset or 0)
    whole = "".join(lines)
    inside = whole[start:end]
    if isinstance(value, ast.Constant):
        inside = f'[{inside}, "{PLUGIN}"]'
    elif not value.elts:
        inside = f'{inside[0]}"{PLUGIN}"{"," if inside[0] == "(" else ""}{inside[-1]}'
    else:
        last = value.elts[-1]
        cut = _index(lines, last.end_lineno or last.lineno, last.end_col_offset or 0) - start
        inside = f'{inside[:cut]}, "{PLUGIN}"{inside[cut:]}'
    return ("\ufeff" if text.startswith("\ufeff") else "") + whole[:start] + inside + whole[end:]


def _index(lines: list[str], line: int, n_bytes: int) -> int:
    """Where in the text a position of `ast` is: its columns count bytes."""
    before = lines[line - 1].encode()[:n_bytes].decode()
    return sum(map(len, lines[: line - 1])) + len(before)
