"""Workers on other hosts, over real ssh: two homes on loopback, each with its own clone, environment and name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from execnet import XSpec
from execnet.gateway_io import ssh_args

from nets.machine.cpu import cores
from nets.plugin import over_hosts
from nets.plugin.host_facts import HostFacts, Question
from nets.plugin.hosts import Host, deal_out, hosts_of, why_unlike
from nets.records.cell import Device
from tests.support import ssh
from tests.support.forking import Forking
from tests.support.records import record
from tests.support.repositories import git
from tests.support.stub_driver import environment
from tests.support.suite import Suite

QUICKLY = ("--epochs", "1", "--rounds", "1", "--batch-size", "500")
TWO = ("--cells", "digits-snn500,shapes-lenet5", *QUICKLY)
DIGITS = "digits-snn500,digits-cnn3l,digits-lenet5"
LOOK = """
import json, os, pathlib, pytest
@pytest.mark.parametrize("i", range(4))
def test_look(i):
    seen = pathlib.Path(f"seen-{os.environ['PYTEST_XDIST_WORKER']}")
    seen.write_text(json.dumps({name: value for name, value in os.environ.items() if name[:5] in ("NETS_", "CUDA_")}))
"""
# the torch here has no CUDA: it is told that it has two GPUs once it is imported, and none is put to use
TWO_GPUS = """
import builtins, sys
imported = builtins.__import__
def watched(name, *arguments, **options):
    module = imported(name, *arguments, **options)
    if name == "torch" and hasattr(sys.modules["torch"], "cuda"):
        sys.modules["torch"].cuda.is_available = lambda: True
        sys.modules["torch"].cuda.device_count = lambda: 2
    return module
builtins.__import__ = watched
"""
# the whole host is gone at once: its sshd, the connection, and the worker, amid a cell
DIES = """
import os, platform, psutil, pytest
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    if platform.node() == "host-b" and "digits-cnn3l" in item.name:
        psutil.Process(int(os.environ["SSHD_PID"])).kill()
        above = psutil.Process(int(os.environ["ENTERED_PID"])).parents()
        next(each for each in above if each.name().startswith("sshd")).kill()
        psutil.Process().kill()
"""


@pytest.fixture
def checked_out(suite: Suite) -> Callable[..., None]:
    """Commit what the suite's repository has, and clone it on each host."""

    def check_out(*hosts: ssh.Host) -> None:
        git("init", "--quiet")
        git("add", "-A")
        git("commit", "--quiet", "-m", "x")
        for host in hosts:
            host.clone(suite.path)

    return check_out


def seen(host: ssh.Host) -> dict[str, dict[str, str]]:
    """What each worker of a host found in its environment."""
    return {path.name.removeprefix("seen-"): json.loads(path.read_text()) for path in host.checkout.glob("seen-*")}


def test_two_hosts(suite: Suite, tmp_path: Path, checked_out: Callable[..., None], forking_process: Forking) -> None:
    """Each record names its host, whose cores its worker has to itself; the file is of theirs, and is written here."""
    with ssh.hosts(tmp_path, "host-a", "host-b", forking=forking_process) as (a, b):
        checked_out(a, b)
        result = suite.run(*TWO, "-d", *a.tx(), *b.tx())
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["nets: 2 workers on host-a (1), host-b (1)"])
    content = suite.content()
    assert {benchmark["params"]["cell"]: benchmark["extra_info"]["where"] for benchmark in content["benchmarks"]} == {
        "digits-snn500": {"host": "host-a", "worker": "gw0", "n_workers": 1, "n_cores": len(cores())},
        "shapes-lenet5": {"host": "host-b", "worker": "gw1", "n_workers": 1, "n_cores": len(cores())},
    }
    assert content["nets"]["not_run"] == []
    assert content["machine_info"]["node"] == "host-a"
    assert content["machine_info"]["nets"]["hosts"] == ["host-a", "host-b"]
    for host in (a, b):
        changed = git("-C", str(host.checkout), "status", "--porcelain", ":!*__pycache__*")
        assert changed == "", "xdist is to copy nothing into a checkout, and a worker to write no file"


def test_a_gpu_of_its_host_for_each(
    suite: Suite, tmp_path: Path, checked_out: Callable[..., None], stub_driver: Path
) -> None:
    """Two workers on each of two hosts with two GPUs get both of their own host, not four of one.

    Every Python there is a fresh start, with its home's own path and variables.
    """
    (suite.path / "benchmarks" / "test_train_eval.py").rename(suite.path / "benchmarks" / "test_look.py").write_text(
        LOOK
    )
    driver = {**environment(stub_driver), "NVML_STUB": "gpus=2"}
    with ssh.hosts(tmp_path, "host-a", "host-b", site=TWO_GPUS, variables=driver) as (a, b):
        checked_out(a, b)
        tx = ("-d", *a.tx(2), *b.tx(2, **{"env:CUDA_VISIBLE_DEVICES": "1,0"}))
        result = suite.run("--device", "auto", "--require-gpu", *tx)  # there is none here
    result.assert_outcomes(passed=4)
    uuids = [f"GPU-00000000-0000-0000-0000-00000000000{i}" for i in range(2)]
    assert [seen(a)[worker]["CUDA_VISIBLE_DEVICES"] for worker in ("gw0", "gw1")] == uuids
    assert [seen(b)[worker]["CUDA_VISIBLE_DEVICES"] for worker in ("gw2", "gw3")] == ["1", "0"]
    assert {got["NETS_N_HERE"] for host in (a, b) for got in seen(host).values()} == {"2"}


def test_a_host_that_dies(
    suite: Suite, tmp_path: Path, checked_out: Callable[..., None], forking_process: Forking
) -> None:
    """Its finished cell is kept, the one that it was at is lost and named, and the other host takes the rest."""
    suite.conftest(DIES)
    with ssh.hosts(tmp_path, "host-a", "host-b", forking=forking_process) as (a, b):
        checked_out(a, b)
        result = suite.run("--cells", f"{DIGITS},shapes-lenet5", *QUICKLY, "-d", *b.tx(), *a.tx())
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=3, failed=1)
    content = suite.content()
    hosts = {b["params"]["cell"]: b["extra_info"]["where"]["host"] for b in content["benchmarks"]}
    assert (hosts.pop("digits-snn500"), *set(hosts.values())) == ("host-b", "host-a")
    assert [each["cell"] for each in content["nets"]["not_run"]] == ["digits-cnn3l"]
    assert content["nets"]["not_run"][0]["because"].startswith("worker gw0 on host-b: it crashed, or its connection")
    result.stdout.fnmatch_lines(["nets: host-b was lost: *no connection: *Connection refused*", "nets: *nets merge"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_the_only_host_dies(
    suite: Suite, tmp_path: Path, checked_out: Callable[..., None], forking_process: Forking
) -> None:
    """The session ends by itself, with the finished cell in its file and the others named."""
    suite.conftest(DIES)
    with ssh.hosts(tmp_path, "host-b", forking=forking_process) as (b,):
        checked_out(b)
        result = suite.run("--cells", DIGITS, *QUICKLY, "-d", *b.tx())
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    content = suite.content()
    assert [b["params"]["cell"] for b in content["benchmarks"]] == ["digits-snn500"]
    assert [each["cell"] for each in content["nets"]["not_run"]] == ["digits-cnn3l", "digits-lenet5"]
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


def test_another_commit(
    suite: Suite, tmp_path: Path, checked_out: Callable[..., None], forking_process: Forking
) -> None:
    """A host with another commit checked out is refused before anything is measured."""
    with ssh.hosts(tmp_path, "host-a", forking=forking_process) as (a,):
        checked_out(a)
        git("-C", str(a.checkout), "commit", "--quiet", "--allow-empty", "-m", "y")
        result = suite.run(*TWO, "-d", *a.tx())
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --tx: host-a: another commit than the checkout here: *: make them alike*"])
    assert not suite.out.exists()


def test_a_worker_that_does_not_start(
    suite: Suite, tmp_path: Path, checked_out: Callable[..., None], forking_process: Forking
) -> None:
    """What keeps a host's pytest from starting is told with the host's name, and is not tried again without end."""
    with ssh.hosts(tmp_path, "host-a", forking=forking_process) as (a,):
        checked_out(a)
        (suite.path / "data").mkdir()
        result = suite.run(*TWO, "-d", *a.tx(), "--data-dir", str(suite.path / "data"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = "ERROR: host-a: its worker gw0 did not start: --data-dir: data does not exist; *nothing was measured*"
    result.stderr.fnmatch_lines([said])


def test_a_host_without_a_gpu(
    suite: Suite, tmp_path: Path, checked_out: Callable[..., None], forking_process: Forking
) -> None:
    """--require-gpu asks each host, which says why none works there."""
    with ssh.hosts(tmp_path, "host-a", forking=forking_process) as (a,):
        checked_out(a)
        result = suite.run(*TWO, "-d", *a.tx(), "--device", "auto", "--require-gpu")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --tx ssh=host-a: --device cuda: no GPU works here: *"])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "no connection: *Connection refused; *"),
        ({"chdir": "/nowhere"}, "folder /nowhere: No such file or directory; check the repository out there*"),
        ({"chdir": ""}, "it names no folder of that host: add //chdir=*"),
        ({"python": "nopython"}, "no Python: *nopython: *not found; name one by python=*"),
        ({"python": "python3 -S -I"}, "*: No module named 'nets'*; install what is here there*"),
    ],
    ids=["gone", "no folder", "no folder named", "no Python", "without nets"],
)
def test_a_host_that_can_t_be_had(suite: Suite, tmp_path: Path, changed: dict[str, str], said: str) -> None:
    """It is named in one sentence with what is wrong and what to do; nothing is measured, and there is no traceback."""
    with ssh.hosts(tmp_path, "host-a") as (a,):
        a.checkout.mkdir(parents=True)
        if not changed:
            a.stop()
        result = suite.run(*TWO, "-d", *a.tx(2, **changed))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --tx ssh=host-a: {said}"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert not suite.out.exists()


def test_without_distribution(suite: Suite) -> None:
    """Workers that are named and not used are refused: the cells would be measured here."""
    result = suite.run(*TWO, "--tx", "ssh=host-a//chdir=/nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --tx names workers, *: add -d*"])


def test_no_resuming_over_hosts(suite: Suite) -> None:
    """--resume, which compares with this machine alone, is refused beside other hosts."""
    result = suite.run(*TWO, "--resume", "-d", "--tx", "ssh=host-a//chdir=/nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --resume goes on with a run of this machine alone*"])


def facts(name: str, /, **changes: Any) -> HostFacts:
    """What a host says, with other values in some fields."""
    torch = changes.pop("torch", "2.15.0")
    said: dict[str, Any] = {
        "name": name,
        "boot": name,
        "folder": "/work",
        "cores": (0, 1),
        "gpus": None,
        "device": Device(type="cuda", name="H100", driver="1"),
        "gpu_missing_because": None,
        "wait_policy": "x",
        "machine_info": {"release": name, "nets": {"versions": {"torch": torch, "numpy": "2.0"}}},
        "code": {"commit": "c" * 40, "changes": None, "nets": "n"},
    }
    return HostFacts(**(said | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"torch": "2.11.0"}, "b: another torch than a: 2.11.0, not 2.15.0"),
        (
            {"device": Device(type="cuda", name="A100", driver="1")},
            "b: another device than a: cuda: A100, not cuda: H100",
        ),
        ({"device": Device(type="cuda", name="H100", driver="2")}, "b: another driver than a: 2, not 1"),
        ({"cores": (0, 1, 2)}, "b: another number of cores of a worker than a: 3, not 2"),
        ({"code": {"commit": "c" * 40, "changes": "f" * 64, "nets": "n"}}, "b: another state of the working tree than"),
        (
            {"code": {"commit": "c" * 40, "changes": None, "nets": "m"}},
            "b: another code of nets than the checkout here",
        ),
        ({"name": "a"}, "a (--tx ssh=b): another machine that is called a than a: b, not a"),
    ],
    ids=["alike", "torch", "GPU", "driver", "cores", "changes", "nets", "two machines of one name"],
)
def test_unlike_hosts(changes: dict[str, Any], said: str | None) -> None:
    """By the rule of `nets merge` what differs is named, with both hosts; kernels and names may differ."""
    b = facts("b", **changes)
    hosts = {each.name: Host(each.name) for each in (facts("a"), b)}
    hosts["a"].told["ssh=a"] = facts("a")
    hosts[b.name].told["ssh=b"] = b
    for host in hosts.values():
        host.specs = [None]  # type: ignore[list-item]  # it is counted
    found = why_unlike(tuple(hosts.values()), facts("a").code)
    assert (found is None) if said is None else (found or "").startswith(f"--tx: {said}")


def test_another_number_of_workers() -> None:
    """Hosts with other numbers of workers are unlike, too: their cells have other neighbours."""
    hosts = [Host(name, {f"ssh={name}": facts(name)}, [None] * n) for name, n in (("a", 1), ("b", 2))]  # type: ignore[list-item]
    assert "another number of workers than a: 2, not 1" in (why_unlike(hosts, facts("a").code) or "")


def test_one_machine_by_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its GPUs are dealt out once, by what the machine calls itself; ssh is to notice when a host has gone silent."""
    monkeypatch.setattr("nets.plugin.hosts.ask", lambda *_: facts("a", gpus=("0", "1")))
    specs = [XSpec("ssh=a//chdir=x"), XSpec("ssh=me@10.0.0.1//chdir=x")]
    hosts = hosts_of(specs, Question(device="auto", require_gpu=False, files=()), Path())
    deal_out(hosts, "auto")
    assert [spec.env["CUDA_VISIBLE_DEVICES"] for spec in specs] == ["0", "1"]
    assert all("ServerAliveInterval=15" in ssh_args(spec) for spec in specs)
    assert over_hosts.names_of(hosts) == "2 workers on a (2)"
    assert why_unlike(hosts, facts("a").code) is None


@pytest.mark.parametrize("other", ["f" * 64, "0" * 64])
def test_records_of_two_kinds(other: str) -> None:
    """Hosts that measured other bytes of one data set fail a session that has passed, by name; equal ones don't."""
    mine = record()
    records = [
        each.replace(where=each.where.replace(host=host), cell=each.cell.replace(data_sha256=sha256))
        for each, host, sha256 in ((mine, "a", "f" * 64), (mine, "b", other))
    ]
    recorder = SimpleNamespace(entries=lambda: [SimpleNamespace(result=each) for each in records])
    manager = SimpleNamespace(get_plugin=lambda _: recorder)
    session: Any = SimpleNamespace(hosts=(), config=SimpleNamespace(pluginmanager=manager, getoption=lambda _: 1))
    over = over_hosts.OverHosts(
        session, SimpleNamespace(_clone_node=None, nodemanager=SimpleNamespace(setup_node=None))
    )
    ended: Any = SimpleNamespace(exitstatus=pytest.ExitCode.OK)
    assert len(list(over.pytest_sessionfinish(ended))) == 1
    assert (ended.exitstatus == pytest.ExitCode.TESTS_FAILED) == (other != "f" * 64)
    assert all("b: another content of mnist than a: SHA-256 000" in sentence for sentence in over._sentences())


def test_too_few_gpus_there() -> None:
    """More workers than a host has GPUs can't measure cells, and are told so; the other host's can."""
    hosts = [
        Host(name, {f"ssh={name}": facts(name, gpus=("0", "1"))}, [XSpec(f"ssh={name}") for _ in range(n)])
        for name, n in (("a", 2), ("b", 3))
    ]
    deal_out(hosts, "auto")
    assert [spec.env["CUDA_VISIBLE_DEVICES"] for spec in hosts[0].specs] == ["0", "1"]
    said = "--tx on b: 3 workers, but 2 GPUs (0, 1): each worker has one to itself"
    assert [spec.env["NETS_REFUSAL"] for spec in hosts[1].specs] == [said] * 3


@pytest.mark.parametrize("typed", ["socket=10.0.0.1:8888", "popen//via=x", "ssh=a//via=x", "vagrant_ssh=a"])
def test_workers_that_are_elsewhere(typed: str) -> None:
    """Workers in places that can't be looked at may run other tests, but no cell; this machine's are dealt out here."""
    config = SimpleNamespace(getoption=lambda _: [], getini=lambda _: [])
    far, here = XSpec(typed), XSpec("popen")
    assert over_hosts.prepare(SimpleNamespace(config=config), [far, here]) == [here]  # type: ignore[arg-type]
    assert str(far.env["NETS_REFUSAL"]).startswith(f"--tx {typed}: cells are measured here or over ssh")


def test_arguments_for_another_checkout() -> None:
    """A whole path below the folder here is one below the folder there; anything else stays as it was typed."""
    given = ["/here/benchmarks/test_x.py::test[/here/x]", "/here", "benchmarks", "/data", "--nets=/here/a.py", "-d"]
    there = ["benchmarks/test_x.py::test[/here/x]", ".", "benchmarks", "/data", "--nets=/here/a.py", "-d"]
    assert [over_hosts.as_there(each, Path("/here")) for each in given] == there


def test_without_sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no sshd these tests are skipped with the reason; in CI they fail."""
    monkeypatch.setattr(ssh, "SSHD", "/nowhere/sshd")
    for ci, outcome in (("", pytest.skip.Exception), ("true", pytest.fail.Exception)):
        monkeypatch.setenv("CI", ci)
        with pytest.raises(outcome, match="no ssh on loopback: /nowhere/sshd not found"), ssh.hosts(tmp_path, "host-a"):
            pass
