"""A driver library without a GPU: nvidia-ml-py's real calls against nvml_stub.c, in a process of their own."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("nvml_stub.c")


class NoCompiler(Exception):
    """There is no C compiler to build the stub with."""


class ChildFailed(Exception):
    """What ran in the stubbed process raised (the text is its traceback) or ended the process."""


def build(folder: Path) -> Path:
    """Compile the stub into `folder` as the driver library's own name; NoCompiler where there is no compiler."""
    found = next((c for c in (os.environ.get("CC"), "cc", "gcc") if c and shutil.which(shlex.split(c)[0])), None)
    if found is None:
        raise NoCompiler("no C compiler: neither $CC nor cc nor gcc")
    library = folder / "libnvidia-ml.so.1"
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]
    subprocess.run([*shlex.split(found), *options, str(SOURCE), "-o", str(library)], check=True)
    return library


class StubbedProcess:
    """A process in which `libnvidia-ml.so.1` is the stub in `folder`; it starts with the first `ask`.

    It stays up between requests, so pynvml is loaded once. One that took longer than `timeout_s` or died is replaced
    at the next `ask`.
    """

    def __init__(self, folder: Path, *, timeout_s: float = 20.0) -> None:
        self.folder = folder
        self.timeout_s = timeout_s
        self._errors = folder / "stubbed_process.stderr"
        self._process: subprocess.Popen[str] | None = None
        self._requests = count()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, scenario: str, function: str | Callable[..., Any], /, **arguments: Any) -> Any:
        """Call a function in the child under a scenario of its own (words of nvml_stub.c); return what it returned.

        The function is importable there, given as itself or as "tests.support.stub_driver:driver_facts". Arguments and
        result travel as JSON. ChildFailed when it raises or ends the process, TimeoutError after `timeout_s`.
        """
        if not isinstance(function, str):
            function = f"{function.__module__}:{function.__qualname__}"
        request = {"scenario": f"{scenario} ask={next(self._requests)}", "function": function, "arguments": arguments}
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(self.timeout_s, process.kill)
        started = time.perf_counter()
        timer.start()
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            timer.cancel()
        if not answer:
            took_s = time.perf_counter() - started
            self.close()
            if took_s >= self.timeout_s:
                raise TimeoutError(f"{function} under {scenario!r} took longer than {self.timeout_s} s")
            errors = self._errors.read_text(errors="replace")
            raise ChildFailed(f"{function} under {scenario!r} ended the process ({process.returncode}):\n{errors}")
        answered: dict[str, Any] = json.loads(answer)
        if "error" in answered:
            raise ChildFailed(answered["error"])
        return answered["result"]

    def close(self) -> None:
        """End the child, politely first."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(timeout=2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            with self._errors.open("w") as errors:
                self._process = subprocess.Popen(
                    [sys.executable, "-u", "-c", "from tests.support.stub_driver import serve; serve()"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    cwd=REPOSITORY,
                    env=os.environ | environment(self.folder),
                )
        return self._process


def environment(folder: Path) -> dict[str, str]:
    """The variables of a process in which the library in `folder` is the driver's."""
    return {
        # it is there from the start: a variable added later could move the environment under a C getenv
        "NVML_STUB": "",
        "LD_LIBRARY_PATH": _with_first(folder, "LD_LIBRARY_PATH"),
        "PYTHONPATH": _with_first(f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}", "PYTHONPATH"),
    }


def _with_first(path: str | Path, variable: str) -> str:
    before = os.environ.get(variable)
    return f"{path}{os.pathsep}{before}" if before else str(path)


def serve() -> None:
    """In the child: answer requests, one JSON line each, until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the functions print is not an answer
    for line in sys.stdin:
        request = json.loads(line)
        os.environ["NVML_STUB"] = request["scenario"]
        try:
            module, _, name = request["function"].partition(":")
            function = getattr(importlib.import_module(module), name)
            answer = json.dumps({"result": function(**request["arguments"])})
        except BaseException:
            answer = json.dumps({"error": traceback.format_exc()})
        print(answer, file=answers, flush=True)


def driver_facts() -> dict[str, Any]:
    """Names, UUIDs and the number of GPUs, as pynvml says them: an example of what may run in the child."""
    import pynvml

    pynvml.nvmlInit()
    try:
        n_gpus: int = pynvml.nvmlDeviceGetCount()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(n_gpus)]
        return {
            "count": n_gpus,
            "name": [pynvml.nvmlDeviceGetName(handle) for handle in handles],
            "uuid": [pynvml.nvmlDeviceGetUUID(handle) for handle in handles],
            "driver": pynvml.nvmlSystemGetDriverVersion(),
        }
    finally:
        pynvml.nvmlShutdown()
