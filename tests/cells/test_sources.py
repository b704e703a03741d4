"""Where networks come from: files and modules find what they import, and leave the process as it was."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nets.cells.sources import Undeclared, imported
from nets.cells.surroundings import Surroundings


@pytest.fixture(autouse=True)
def modules_kept() -> Iterator[None]:
    """Forget the modules that a test imports."""
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)


def written(folder: Path, **texts: str) -> Path:
    """Files of a folder, by their stems."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, text in texts.items():
        (folder / f"{stem}.py").write_text(text)
    return folder


def called(source: Path | str, name: str = "f") -> Any:
    """What a builder of a source returns when it is called as a builder is."""
    found = imported(str(source))
    return found.surroundings.bound(getattr(found.module, name))()


def test_neighbours(tmp_path: Path) -> None:
    """A file imports its neighbours, at its top and in a builder that is called later."""
    written(tmp_path, helper="width = 3", later="depth = 4")
    file = written(tmp_path, net="import helper\ndef f():\n    import later\n    return helper.width, later.depth")
    assert called(file / "net.py") == (3, 4)


def test_the_process_is_left_as_it_was(tmp_path: Path) -> None:
    """The path and the arguments are the file's own while its code runs, and after it what they were before."""
    text = (
        "import sys\nseen = list(sys.argv)\nsys.argv.append('x')\nsys.path.insert(0, '/added')\nsys.path += ['/last']\n"
    )
    file = written(tmp_path, net=text + "def f(): return sys.argv, sys.path[:2], '/last' in sys.path") / "net.py"
    path, argv, listed = sys.path, sys.argv, list(sys.path)
    found = imported(str(file))
    assert sys.path is path
    assert (sys.path, sys.argv) == (listed, argv)
    assert found.module.seen == [str(file)]
    assert found.surroundings.bound(found.module.f)() == ([str(file)], [str(tmp_path), "/added"], True)
    assert (sys.path, sys.argv) == (listed, argv)


def test_the_process_is_left_as_it_was_by_a_failure(tmp_path: Path) -> None:
    """A file that fails, after it has put another list in the path's place, leaves neither the path nor itself."""
    file = written(tmp_path, net="import sys\nsys.path = []\nsys.argv = None\n1/0") / "net.py"
    path, argv, finders, names = sys.path, sys.argv, list(sys.meta_path), set(sys.modules)
    with pytest.raises(Undeclared, match=r"ZeroDivisionError: division by zero \(net.py, line 4\)"):
        imported(str(file))
    assert sys.path is path
    assert sys.argv is argv
    assert (sys.meta_path, set(sys.modules)) == (finders, names)


def test_two_files_of_one_name(tmp_path: Path) -> None:
    """Two files of the same name, each with a neighbour of the same name, don't overwrite each other."""
    for folder in ("a", "b"):
        written(tmp_path / folder, helper=f"said = {folder!r}", late=f"said = {folder!r}")
        written(
            tmp_path / folder, net="import helper\ndef f():\n    import helper as h, late\n    return h.said, late.said"
        )
    one, two = (imported(str(tmp_path / folder / "net.py")) for folder in ("a", "b"))
    for _ in range(2):
        assert one.surroundings.bound(one.module.f)() == ("a", "a")
        assert two.surroundings.bound(two.module.f)() == ("b", "b")
    assert one.module.helper.said == "a"
    assert sys.modules[one.module.__name__] is one.module
    assert sys.modules[two.module.__name__] is two.module


def test_two_packages_of_one_name(tmp_path: Path) -> None:
    """Files of two packages of the same name stay apart."""
    for folder in ("a", "b"):
        written(tmp_path / folder / "pack", __init__="", layers=f"said = {folder!r}")
        written(tmp_path / folder / "pack", net="from .layers import said\ndef f():\n    from . import layers\n"
                "    return said, layers.said")  # fmt: skip
    assert [called(tmp_path / folder / "pack" / "net.py") for folder in ("a", "b", "a")] == [
        ("a", "a"),
        ("b", "b"),
        ("a", "a"),
    ]


@pytest.mark.parametrize("name", ["colorsys", "tomlkit_not_there", "mailcap"])
def test_a_file_named_like_a_module(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has the name of an installed module imports that one, and hides it from nobody."""
    sys.modules.pop(name, None)
    elsewhere = written(tmp_path / "site-packages", tomlkit_not_there="installed = True", mailcap="installed = True")
    monkeypatch.syspath_prepend(str(elsewhere))
    file = written(tmp_path / "own", **{name: f"import {name} as real\ndef f(): return real.__file__"}) / f"{name}.py"
    assert Path(called(file)).parent != tmp_path / "own"
    assert Path(__import__(name).__file__ or "").parent != tmp_path / "own"


def test_a_neighbour_named_like_a_module(tmp_path: Path) -> None:
    """A neighbour that has the name of a module of Python's is found by the file, as by Python, and by nobody else."""
    sys.modules.pop("colorsys", None)
    written(tmp_path, colorsys="mine = 1", net="import colorsys\ndef f():\n    import colorsys as c\n    return c.mine")
    found = imported(str(tmp_path / "net.py"))
    for _ in range(2):
        assert found.surroundings.bound(found.module.f)() == 1
        assert not hasattr(__import__("colorsys"), "mine")


def test_in_a_package(tmp_path: Path) -> None:
    """A file of a package has its real name there: relative imports, absolute ones and plain neighbours are found."""
    package = written(tmp_path / "pack_of_nets", __init__="size = 5")
    written(package / "sub", __init__="", near="width = 3", plain="depth = 2")
    file = package / "sub" / "net.py"
    file.write_text(
        "from .. import size\nfrom .near import width\nimport plain\nimport pack_of_nets.sub.near as same\n"
        "def f():\n    from . import near\n    return size, width, plain.depth, near is same, __name__\n"
    )
    assert called(file) == (5, 3, 2, True, "pack_of_nets.sub.net")
    assert called(written(package, size_of="def f(): return __name__") / "size_of.py") == "pack_of_nets.size_of"
    (package / "__init__.py").write_text("from .size_of import f")
    del sys.modules["pack_of_nets"]
    assert called(package / "__init__.py") == "pack_of_nets.size_of"


def test_a_package_named_like_another(tmp_path: Path) -> None:
    """A package that has the name of one that is imported already is refused, with what to do."""
    file = written(tmp_path / "json", __init__="", net="") / "net.py"
    with pytest.raises(Undeclared, match=r"its package has the name of another one, json, in .*: rename the folder"):
        imported(str(file))


@pytest.mark.parametrize("folder", [".", "src"])
def test_a_module_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """A module is imported from the working folder, or from `src` in it, by its name, and its builders import there."""
    monkeypatch.chdir(tmp_path)
    text = (
        "from mypackage.sizes import width\ndef f():\n    import mypackage.late as late\n    return width, late.depth"
    )
    written(tmp_path / folder / "mypackage", __init__="", sizes="width = 1", late="depth = 2", nets=text)
    assert called("mypackage.nets") == (1, 2)


@pytest.mark.parametrize("name", ["my net", "größe", "net [1]", "a.b", "net-2", "nets", "2", "def"])
def test_any_name(tmp_path: Path, name: str) -> None:
    """A file of any name is imported, in a package as well, and does not run as a program."""
    text = 'if __name__ == "__main__": 1/0\ndef f(): return __name__'
    assert called(written(tmp_path / "a b [c]", **{name: text}) / f"{name}.py") != "__main__"
    package = written(tmp_path / "ein_paket", __init__="", **{name: f"from . import near\n{text}"}, near="")
    assert called(package / f"{name}.py").startswith("ein_paket.")


def test_copied_and_pickled(tmp_path: Path) -> None:
    """Dataclasses of a file, and its objects, are copied and pickled as any."""
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass, field\nimport helper\n"
        "@dataclass\nclass Size:\n    width: int = 3\n    parts: list[int] = field(default_factory=list)\n"
        "def f(): return Size(), helper.Other()"
    )
    written(tmp_path, net=text, helper="class Other: pass")
    made, other = called(tmp_path / "net.py")
    assert copy.deepcopy(made) == made
    assert pickle.loads(pickle.dumps(made)) == made
    assert type(pickle.loads(pickle.dumps(other))) is type(other)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import sys\nsys.exit()", "it ended the program (SystemExit): what it does as a program belongs under"),
        ("import sys\nsys.exit('no GPU')", "it ended the program (SystemExit), with the words 'no GPU': what it"),
        ("import argparse\np = argparse.ArgumentParser()\np.add_argument('lr')\np.parse_args()",
         "with the words 'net.py: error: the following arguments are required: lr': what it does as a program"),
        ("x = (", "importing it raised SyntaxError: '(' was never closed (net.py, line 1)"),
        ("import bad", "importing it raised SyntaxError: invalid syntax (bad.py, line 2)"),
        ("import helper\nhelper.fail()", "importing it raised KeyError: 'k' (helper.py, line 2)"),
        ("import not_there", "importing it raised ModuleNotFoundError: No module named 'not_there' (net.py, line 1)"),
        ("from . import helper", "no known parent package: an __init__.py in its folder would make one of it"),
        ("import pytest\npytest.skip('no', allow_module_level=True)", "importing it raised Skipped: no"),
        ("raise ValueError", "importing it raised ValueError: no reason given (net.py, line 1)"),
        ("input()", "importing it raised OSError: "),
    ],
)  # fmt: skip
def test_a_file_that_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, sentence: str) -> None:
    """What a file does instead of being imported is one sentence, which names it; its usage text is not ours."""
    written(tmp_path, net=text, bad="1\n2 3", helper="def fail():\n    {}['k']")
    with pytest.raises(Undeclared) as raised:
        imported(str(tmp_path / "net.py"))
    assert str(raised.value).startswith(f"{tmp_path / 'net.py'}: ")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused with what is wrong with it."""
    file = tmp_path / "net.py"
    file.write_bytes(b"x = 1\nname = '\xff'\n")
    with pytest.raises(Undeclared, match=r"SyntaxError: .*utf-8.*net.py"):
        imported(str(file))
    file.write_bytes(b"x = 1\0")
    with pytest.raises(Undeclared, match=r"importing it raised (SyntaxError|ValueError): source code .*null bytes"):
        imported(str(file))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nowhere.py", "nowhere.py: there is no such file"),
        ("folder.py", "folder.py: it is a folder: name a file in it, or a module"),
        ("./folder", "./folder: it is a folder: name a file in it, or a module"),
        ("./text.txt", "./text.txt: it is not a file of Python code, whose name ends in .py"),
        ("text.txt", "text.txt: there is no such module, neither here, nor in ./src, nor installed"),
        ("own", None),
        ("owl", "owl: there is no such module, neither here, nor in ./src, nor installed"),
        ("pack.own", "pack.own: there is no such module, neither here, nor in ./src, nor installed"),
        ("later.own", "neither here, nor in ./src, nor installed; did you mean later/own.py?"),
        ("pack.__main__", "pack.__main__: it is a program, which `python -m` runs: declare networks in another module"),
        ("pack/__main__.py", "it is a program, which `python -m` runs: declare networks in another file"),
        ("own.py:net", "name the file alone, own.py, and its networks by --cells"),
        ("my net", "'my net' is neither a file, whose name ends in .py, nor the name of a module"),
        ("a..b", "'a..b' is neither a file, whose name ends in .py, nor the name of a module"),
        (".own", "'.own' is neither a file, whose name ends in .py, nor the name of a module"),
        ("", "'' is neither a file, whose name ends in .py, nor the name of a module"),
        ("~nobody_at_all/net.py", "~nobody_at_all/net.py: there is no such file"),
        ("n" * 300 + ".py", "there is no such file"),
    ],
)  # fmt: skip
def test_what_is_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, sentence: str | None) -> None:
    """What is neither a file nor a module is refused with a sentence that says which it is not."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "pack", __init__="", __main__="1/0")
    written(tmp_path / "folder.py")
    written(tmp_path / "folder")
    written(tmp_path, own="")
    (tmp_path / "text.txt").write_text("")
    written(tmp_path / "later-on")
    if source == "later.own":
        (tmp_path / "later.py").write_text("")
        written(tmp_path / "later", own="")
    if sentence is None:
        imported(source)
        return
    with pytest.raises(Undeclared) as raised:
        imported(source)
    assert sentence in str(raised.value)


def test_ctrl_c(tmp_path: Path) -> None:
    """Ctrl-C while a file is imported, as in a training loop at its top, names the file."""
    file = written(tmp_path, net="raise KeyboardInterrupt") / "net.py"
    with pytest.raises(KeyboardInterrupt, match=r"in .*net.py: what it does as a program belongs under"):
        imported(str(file))


def test_what_a_file_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a file that is imported prints is printed, and its logging goes on to reach standard error."""
    text = (
        "import logging, sys\nprint('out')\nprint('err', file=sys.stderr)\n"
        "log = logging.getLogger('of_net'); log.addHandler(logging.StreamHandler()); log.propagate = False\n"
        "def f(): log.warning('later')"
    )
    called(written(tmp_path, net=text) / "net.py")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("out\n", "err\nlater\n")


def test_entered_twice(tmp_path: Path) -> None:
    """A builder that has another one called leaves the process as it was, too."""
    written(tmp_path / "a", helper="said = 'a'")
    written(tmp_path / "b", helper="said = 'b'")
    one, two = (Surroundings(folder, [str(tmp_path / folder)]) for folder in ("a", "b"))
    listed, argv = list(sys.path), sys.argv
    with one.entered():
        assert __import__("helper").said == "a"
        with two.entered():
            assert (__import__("helper").said, sys.argv) == ("b", ["b"])
        assert (__import__("helper").said, sys.argv) == ("a", ["a"])
    assert (sys.path, sys.argv) == (listed, argv)
