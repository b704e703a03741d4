"""What is other where workers run on other hosts: xdist's files and arguments, and a host that doesn't come back.

pytest-xdist 3.8 copies its pytest into each host's folder, refuses arguments that name files here (its issue 1081), and
ends the session when a worker can't be started anew. It has no hooks for these: this run's session object is changed.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import execnet
import pytest
import xdist.workermanage

from nets.errors import NetsError, counted
from nets.plugin.host_facts import Question
from nets.plugin.hosts import Host, NoHost, as_typed, code_here, deal_out, hosts_of, is_over_ssh, run_on, why_unlike
from nets.plugin.session import REFUSAL
from nets.verdicts.parts import of_a_cell, unlike

if TYPE_CHECKING:
    from execnet import XSpec

    from nets.plugin.session import Session

START_FAULTS = (execnet.HostNotFound, execnet.RemoteError, EOFError, OSError, AssertionError)
"""What execnet raises where a worker can't be started."""
RESTARTS = 4
"""Of workers, for each that there was: xdist's own limit under -n, in place of none."""
NEXT = "nets: measure what has no record into another file (--cells, --benchmark-json), and join both by nets merge"


def prepare(session: Session, specs: Sequence[XSpec]) -> list[XSpec]:
    """Look at every host, give its workers their environments, and have xdist bear that they are elsewhere.

    Returns the workers that have no place yet: those of this machine, where there are no others. Raises UsageError.
    """
    config = session.config
    copies = config.getoption("rsyncdir") or config.getini("rsyncdirs")
    measuring, local = [], []
    for spec in specs:
        if spec.popen and not spec.via:
            local.append(spec)
        elif is_over_ssh(spec) and not copies:
            measuring.append(spec)
        else:  # what xdist copies is no checkout, and what is at the end of a socket is not known
            spec.env[REFUSAL] = f"--tx {as_typed(spec)}: cells are measured here or over ssh, and without --rsyncdir"
    if not measuring:
        return local
    options, folder = session.options, config.invocation_params.dir
    if options.resume:
        raise pytest.UsageError("--resume goes on with a run of this machine alone: leave it out, or --tx")
    files = tuple(named for named in options.nets if (folder / named).is_file())
    question = Question(device=options.device, require_gpu=options.require_gpu, files=files)
    try:
        session.hosts = hosts_of([spec for spec in specs if spec in local or spec in measuring], question, folder)
    except NetsError as error:
        raise pytest.UsageError(str(error)) from None
    deal_out(session.hosts, options.device)
    session.unlike_because = why_unlike(session.hosts, code_here(question, config.rootpath, folder))
    session.notes.append(f"nets: {names_of(session.hosts)}")
    xdist_session: Any = config.pluginmanager.get_plugin("dsession")
    keep_arguments(config, xdist_session.nodemanager)
    config.pluginmanager.register(OverHosts(session, xdist_session), "nets-over-hosts")
    return []


def keep_arguments(config: pytest.Config, manager: Any) -> None:
    """Hand the command line on as it was typed, and copy nothing: each host has its checkout and its environment."""
    folder = config.invocation_params.dir
    manager.roots = []
    patch = pytest.MonkeyPatch()
    patch.setattr(
        xdist.workermanage, "make_reltoroot", lambda _, given: [as_there(each, folder) for each in given], raising=False
    )
    config.add_cleanup(patch.undo)


def as_there(argument: str, folder: Path) -> str:
    """An argument for another checkout: a whole path below the folder here is one below the folder there."""
    path, *rest = argument.partition("::")
    if not Path(path).is_absolute() or not Path(path).is_relative_to(folder):
        return argument
    return "".join((str(Path(path).relative_to(folder)), *rest))


class OverHosts:
    """Registered on the controller: goes on without a host that is lost, and says so.

    What a lost host has not begun is measured where a worker has ended well, in its place: workers end as soon as
    nothing is left to hand out.
    """

    def __init__(self, session: Session, xdist_session: Any) -> None:
        self._session = session
        self._xdist = xdist_session
        self._start_again = xdist_session._clone_node
        self._errors: dict[Any, object] = {}
        self._free: list[Any] = []
        self.lost: dict[str, str] = {}
        xdist_session._clone_node = self._replace
        self._start = xdist_session.nodemanager.setup_node
        xdist_session.nodemanager.setup_node = self._set_up
        if session.config.getoption("maxworkerrestart") is None:
            xdist_session._max_worker_restart = RESTARTS * sum(len(host.specs) for host in session.hosts)

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Note how a worker ended; one that ended well makes room for what a lost host has left."""
        if error is None:
            self._free.append(node)
            self._go_on()
        else:
            self._errors[node] = error

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Name the host of the worker that was at a test."""
        node = report.node
        host = self._host_of(node.gateway.spec)
        report.longrepr = f"worker {node.gateway.id} on {host}: it crashed, or its connection broke, in {crashitem}"

    def _set_up(self, spec: XSpec, put_event: Any) -> Any:
        """Start a worker. Raises UsageError where its host, or the connection, broke off meanwhile."""
        try:
            return self._start(spec, put_event)
        except START_FAULTS as error:
            raise pytest.UsageError(f"{self._host_of(spec)}: no worker can be started: {error!r}") from None

    def _replace(self, node: Any) -> None:
        """Start a worker in the place of another, if that can be."""
        because = self._why_not_again(node)
        if because is None:
            try:
                self._start_again(node)
            except pytest.UsageError as error:
                because = str(error)
        if because is not None:
            self._lose(node, because)

    def _why_not_again(self, node: Any) -> str | None:
        if not hasattr(node, "workerinfo"):
            return f"its worker {node.gateway.id} did not start: {last_line(self._errors.get(node))}"
        if not is_over_ssh(node.gateway.spec):
            return None
        try:
            run_on(node.gateway.spec, "")
        except NoHost as error:
            return str(error)
        return None

    def _lose(self, node: Any, because: str) -> None:
        """Go on without a host. Raises UsageError where nothing has been measured yet."""
        host = self._host_of(node.gateway.spec)
        if not self._xdist.sched.collection_is_completed:
            raise pytest.UsageError(f"{host}: {because}; nothing was measured: leave it out, or mend it")
        if host not in self.lost:
            self.lost[host] = because
            self._say(f"nets: {host} is lost: {because}")
        self._go_on()
        if not self._xdist._active_nodes - {node}:
            self._xdist.triggershutdown()

    def _go_on(self) -> None:
        """Measure what is left on a free place, where no worker that still runs takes more."""
        xdist_session = self._xdist
        while self.lost and getattr(xdist_session.sched, "workqueue", None):
            usable = [node for node in self._free if self._host_of(node.gateway.spec) not in self.lost]
            if not usable or not all(node.shutting_down for node in xdist_session._active_nodes):
                return
            self._free.remove(usable[-1])
            self._replace(usable[-1])

    def _host_of(self, spec: XSpec) -> str:
        return next((host.name for host in self._session.hosts if any(spec is each for each in host.specs)), str(spec))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """A run that lost a host is no success, nor is one whose records are of two kinds."""
        yield
        if self._sentences() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say again what was lost, and what to do."""
        for sentence in self._sentences():
            terminalreporter.write_line(sentence, red=True)

    def _sentences(self) -> list[str]:
        lost = [f"nets: {host} was lost: {because}" for host, because in self.lost.items()]
        recorder: Any = self._session.config.pluginmanager.get_plugin("nets-recorder")
        results = [entry.result for entry in recorder.entries() if entry.result.rounds]
        differ = unlike((name, value, each.where.host) for each in results for name, value in of_a_cell(each))
        return lost + ([NEXT] if lost else []) + ([] if differ is None else [f"nets: {differ}: they can't be compared"])

    def _say(self, line: str) -> None:
        reporter = self._session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(line, red=True)


def last_line(error: object) -> str:
    """What a worker's traceback ends with, without the exception's name."""
    lines = str(error).strip().splitlines() or ["no reason is known"]
    return lines[-1].rpartition("UsageError: ")[2]


def names_of(hosts: Sequence[Host]) -> str:
    """`4 workers on a (2), b (2)`."""
    n = sum(len(host.specs) for host in hosts)
    return f"{counted(n, 'worker')} on {', '.join(f'{host.name} ({len(host.specs)})' for host in hosts)}"
