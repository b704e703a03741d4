"""The hosts of a session's workers: asked over ssh what they are, held against each other, and dealt out.

A worker over ssh runs in a checkout and an environment of its own host: `--tx ssh=HOST//python=PYTHON//chdir=FOLDER`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from execnet import XSpec
from execnet.gateway_io import ssh_args
from pydantic import ValidationError

from nets.errors import NetsError
from nets.machine.cpu import shares
from nets.machine.device import DeviceError
from nets.machine.places import N_HERE, dealt
from nets.plugin.host_facts import HostFacts, Question, contents, facts_here
from nets.plugin.resume import code_of
from nets.plugin.session import REFUSAL
from nets.records.base import first_fault
from nets.records.versions import versions_of
from nets.verdicts.parts import of_a_device, of_versions, unlike

ANSWER_S = 300
CONNECT_S = 20
"""A host's answer takes torch's import, from a slow disk perhaps; a connection has to be made sooner."""
KEEP_ALIVE = "-o BatchMode=yes -o ServerAliveInterval=15"
"""For ssh: ask nobody for a password, and end a connection whose host has not answered three times."""
_DEFAULT_CHDIR = "pyexecnetcache"
"""Xdist's own, an empty folder that it would make."""
_TELL = """
import json, os, sys
folder, environment, question = json.loads({asked!r})
os.environ.update(environment)
try:
    os.chdir(os.path.expanduser(folder))
except OSError as error:
    sys.exit("folder %s: %s; check the repository out there, or name its folder by chdir=" % (folder, error.strerror))
sys.path.insert(0, os.getcwd())
try:
    from nets.errors import NetsError
    from nets.plugin.host_facts import tell
except ImportError as error:
    sys.exit("%s: %s; install what is here there, or name its Python by python=" % (sys.executable, error))
try:
    print("\\n" + tell(question))
except NetsError as error:
    sys.exit(str(error))
"""
_WORDS = {"changes": "state of the working tree", "nets": "code of nets"}


class NoHost(NetsError):
    """A host on which no worker can run; the message says which, why, and what to do."""


@dataclass
class Host:
    """A machine with workers: what it says of itself, once for each way to reach it, and the workers' specs."""

    name: str
    told: dict[str, HostFacts] = field(default_factory=dict)
    specs: list[XSpec] = field(default_factory=list)

    @property
    def facts(self) -> HostFacts:
        """By the way to reach it that --tx names first."""
        return next(iter(self.told.values()))


def is_over_ssh(spec: XSpec) -> bool:
    """Whether a worker is reached by ssh alone."""
    return bool(spec.ssh) and not spec.via


def hosts_of(specs: Sequence[XSpec], question: Question, folder: Path) -> tuple[Host, ...]:
    """Ask all hosts at once, in the order of --tx. Raises NoHost, with a sentence for each that can't be had."""
    alike: dict[str, list[XSpec]] = {}
    for spec in specs:
        alike.setdefault(as_typed(spec), []).append(spec)
    remote = {typed: same[0] for typed, same in alike.items() if is_over_ssh(same[0])}
    with ThreadPoolExecutor(len(remote)) as pool:
        asked = {typed: pool.submit(ask, spec, question) for typed, spec in remote.items()}
    if failed := [str(error) for each in asked.values() if isinstance(error := each.exception(), NoHost)]:
        raise NoHost("\n".join(failed))
    hosts: dict[str, Host] = {}
    for typed, same in alike.items():
        facts = asked[typed].result() if typed in asked else facts_here(question, folder)
        host = hosts.setdefault(facts.name, Host(facts.name))
        host.told[typed] = facts
        host.specs += same
        for spec in same:
            if typed in asked:
                spec.chdir = facts.folder
                spec.ssh = f"{spec.ssh} {KEEP_ALIVE}"
    return tuple(hosts.values())


def as_typed(spec: XSpec) -> str:
    """A worker's spec as --tx has it, without what xdist puts before it."""
    return str(spec).removeprefix("execmodel=main_thread_only//")


def destination(spec: XSpec) -> str:
    """Of a spec over ssh what a message names: where it leads to."""
    return f"--tx ssh={XSpec(as_typed(spec)).ssh}"


def ask(spec: XSpec, question: Question) -> HostFacts:
    """What a host says of itself. Raises NoHost."""
    where = destination(spec)
    if spec.chdir in (None, _DEFAULT_CHDIR):
        raise NoHost(f"{where}: it names no folder of that host: add //chdir= and where the repository is checked out")
    asked = json.dumps([spec.chdir, spec.env, question.model_dump_json()])
    said = run_on(spec, _TELL.format(asked=asked))
    try:
        return HostFacts.model_validate_json(said.rstrip().rpartition("\n")[2])
    except ValidationError as error:
        raise NoHost(f"{where}: another nets runs there: {first_fault(error)}; check the same commit out") from None


def run_on(spec: XSpec, script: str) -> str:
    """What a script prints in the interpreter of a worker's host, which is called as execnet does. Raises NoHost."""
    where = destination(spec)
    ssh, *rest = ssh_args(spec)
    command = [ssh, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_S}", *rest]
    try:
        done = subprocess.run(
            command, input=f"{script!r}\n", capture_output=True, text=True, errors="replace", timeout=ANSWER_S
        )
    except OSError as error:
        raise NoHost(f"{where}: ssh can't be run: {error.strerror}; install its client") from None
    except subprocess.TimeoutExpired:
        raise NoHost(f"{where}: no answer for {ANSWER_S} s; see what keeps Python from starting there") from None
    if done.returncode == 0:
        return done.stdout
    because = (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1]
    if done.returncode == 255:  # ssh's own
        raise NoHost(f"{where}: no connection: {because}; `ssh` must get there without a password, and the host be up")
    if done.returncode in (126, 127):  # the shell's
        raise NoHost(f"{where}: no Python: {because}; name one by python=, as //python=/path/.venv/bin/python")
    raise NoHost(f"{where}: {because}")


def deal_out(hosts: Sequence[Host], device: str) -> None:
    """Give each worker its GPU, or its share of the cores, of its own host; or say why its cells can't be measured."""
    for host in hosts:
        n = len(host.specs)
        try:
            environments = dealt(n, device, host.facts.machine, asked=f"--tx on {host.name}")
        except DeviceError as error:
            environments = [{REFUSAL: str(error)}] * n
        for spec, environment in zip(host.specs, environments, strict=True):
            spec.env.update(environment, **{N_HERE: str(n)})


def why_unlike(hosts: Sequence[Host], here: Mapping[str, str | None]) -> str | None:
    """Why the hosts' records can't be of one run, by the rule of `nets merge`; None if they can.

    `here`: what `code_here` says, whose commit the file will name.
    """
    differ = unlike(_facts(hosts, here))
    if differ is None:
        return None
    return f"--tx: {differ}: a file is of one commit and one kind of machine: make them alike, or leave one out"


def code_here(question: Question, rootdir: Path, folder: Path) -> dict[str, str | None]:
    """Of the controller's checkout, as `HostFacts.code` is of a host's; `folder`: in which pytest was called."""
    return {**code_of(rootdir), **contents(question.files, folder)}


def _facts(hosts: Sequence[Host], here: Mapping[str, str | None]) -> Iterator[tuple[str, object, str]]:
    yield from (_of_code(name, value, "the checkout here") for name, value in here.items())
    for host in hosts:
        for i, (typed, facts) in enumerate(host.told.items()):
            whose = f"{host.name} (--tx {typed})" if i else host.name
            yield from (_of_code(name, value, whose) for name, value in facts.code.items())
            yield from ((name, value, whose) for name, value in of_versions(versions_of(facts.machine_info)))
            yield from ((name, value, whose) for name, value in of_a_device(facts.device))
            yield "wait policy of OpenMP", facts.wait_policy, whose
            yield "number of workers", len(host.specs), whose
            yield "number of cores of a worker", _cores_of_a_worker(host, facts), whose
            yield f"machine that is called {host.name}", facts.boot, whose
            yield f"set of GPUs on {host.name}", facts.gpus, whose


def _of_code(name: str, value: str | None, whose: str) -> tuple[str, object, str]:
    return _WORDS.get(name, name), None if value is None else value[:12], whose


def _cores_of_a_worker(host: Host, facts: HostFacts) -> str:
    if facts.gpus is not None:
        return str(len(facts.cores))
    return " or ".join(map(str, sorted({len(share) for share in shares(len(host.specs), facts.cores)})))
