"""A small repository that uses the suite, for the tests to run pytest in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# hypothesis's plug-in imports all of it for each session's summary, and anyio's all of asyncio
INI = "[pytest]\naddopts = --import-mode=importlib -p no:cacheprovider -p no:hypothesispytest -p no:anyio\n"
ONE_LINE = 'pytest_plugins = ["nets.plugin"]\n'
SCHEMA = jsonschema.Draft202012Validator(
    json.loads((REPOSITORY / "src" / "nets" / "records" / "record.schema.json").read_text())
)


class Suite:
    """A repository with the suite's one line and its benchmark; `run` runs pytest on it in this process."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.out = self.path / "out.json"
        pytester.makeini(INI)
        self.conftest()
        (self.path / "benchmarks").mkdir()
        shutil.copy(REPOSITORY / "benchmarks" / "test_train_eval.py", self.path / "benchmarks")

    def conftest(self, text: str = "") -> None:
        """Write the conftest: the one line, and `text`."""
        self.pytester.makeconftest(ONE_LINE + text)

    def bands(self, cell: str, accuracies: list[float]) -> None:
        """Write a bands file with reference runs of one cell under `quick`."""
        protocol = {"digits": (10, 100), "shapes": (2, 4)}[cell.partition("-")[0]]
        (self.path / "benchmarks" / "bands.toml").write_text(
            f'schema = 1\n[[runs]]\ncell = "{cell}"\nprotocol = "quick"\nepochs = {protocol[0]}\n'
            f'batch_size = {protocol[1]}\nlr = 0.001\nsource = "a test"\npipeline = "resident"\ntorch = "0"\n'
            f'device = "none"\nseeds = {list(range(len(accuracies)))}\naccuracies = {accuracies}\n'
        )

    def run(self, *arguments: str, subprocess: bool = False) -> pytest.RunResult:
        """Run `pytest benchmarks/` with a JSON file; `subprocess` where it can't be done, or seen, in this process."""
        every = ("benchmarks", "--device", "cpu", "--benchmark-json", str(self.out), *arguments)
        if subprocess:
            self.pytester.makepyfile(  # which takes a second to look, each time
                no_cpuinfo="import pytest_benchmark.plugin\npytest_benchmark.plugin.get_cpu_info = dict\n"
            )
            return self.pytester.runpytest_subprocess("-p", "no_cpuinfo", *every)
        return self.pytester.runpytest_inprocess(*every, no_reraise_ctrlc=True)

    def content(self) -> dict[str, Any]:
        """The JSON file, every record in it held against the schema."""
        content: dict[str, Any] = json.loads(self.out.read_text(), parse_constant=pytest.fail)
        for record in [b["extra_info"] for b in content["benchmarks"]] + content["nets"]["unfinished"]:
            SCHEMA.validate(record)
        left = [self.out.with_name("out.json.journal")] if content["nets"]["interrupted"] else []
        assert all(journal in left for journal in self.path.glob("*.journal"))
        return content

    def outcomes(self) -> dict[str, tuple[str, list[str]]]:
        """Status and failures of each cell, timed or not."""
        content = self.content()
        records = [b["extra_info"] for b in content["benchmarks"]] + content["nets"]["unfinished"]
        return {
            f"{r['cell']['dataset']}-{r['cell']['model']}": (r["outcome"]["status"], r["outcome"]["failures"])
            for r in records
        }
