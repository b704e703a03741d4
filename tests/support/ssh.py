"""Hosts for a session's workers: real sshds on loopback, each with keys, a home and an environment of its own."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from typing import Any

import pytest

from tests.support.forking import Forking
from tests.support.suite import REPOSITORY

SSHD = "/usr/sbin/sshd"  # it starts itself again for each connection, and wants its whole path
# stands for another machine's name, and for cpuinfo, which takes a second to look; its /proc is this machine's
SITE = """
import platform, sys, types
platform.node = lambda: {name!r}
sys.modules["cpuinfo"] = types.SimpleNamespace(get_cpu_info=dict)
"""
ENTER = """#!/bin/sh
export HOME={home} PATH={home}/bin:$PATH SSHD_PID=$(cat {home}/sshd.pid) ENTERED_PID=$$ {variables}
cd "$HOME" && exec sh -c "$SSH_ORIGINAL_COMMAND"
"""
PYTHON = """#!/bin/sh
PYTHONPATH={home}/site:{source} exec {python} "$@"
"""
# hands its streams to a process that is forked from one which has imported torch, and waits for that to end
FORKED_PYTHON = """#!{python} -IS
import json, os, socket, sys
asking = socket.socket(socket.AF_UNIX)
asking.connect({socket!r})
socket.send_fds(asking, [json.dumps([sys.argv[1:], dict(os.environ)]).encode()], [0, 1, 2])
os.closerange(0, 3)
os._exit(int(asking.recv(9)) % 256)
"""
SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host_key
PidFile {home}/sshd.pid
AuthorizedKeysFile {home}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
LogLevel ERROR
"""
CLIENT = """
Host {name}
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {home}/user_key
  IdentitiesOnly yes
  UserKnownHostsFile {home}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
"""


class Host:
    """A home, reached by ssh alone, whose programs know no other; `checkout` is where its clone of a repository is."""

    def __init__(
        self, folder: Path, name: str, site: str, variables: Mapping[str, str], forking: Forking | None
    ) -> None:
        self.name = name
        self.home = folder / f"home-{name}"
        self.checkout = self.home / "work" / f"at-{name}"
        self.client = folder / f"ssh-{name}"
        self._site = SITE.format(name=name) + site
        self._variables = " ".join(f"{name}={value}" for name, value in variables.items())
        self._forking = forking
        self._server: subprocess.Popen[bytes] | None = None
        self._listening: socket.socket | None = None

    def tx(self, n: int = 1, **more: str) -> tuple[str, str]:
        """The option for so many workers; further parts of the specification by name."""
        parts = {"ssh": self.name, "ssh_config": str(self.client), "python": "python3", "chdir": str(self.checkout)}
        return "--tx", f"{n}*" + "//".join(f"{key}={value}" for key, value in (parts | more).items() if value)

    def start(self) -> None:
        """Make the home and its keys, and let it be reached."""
        for each in ("bin", "site"):
            (self.home / each).mkdir(parents=True)
        (self.home / "site" / "sitecustomize.py").write_text(self._site)
        python = PYTHON.format(home=self.home, source=REPOSITORY / "src", python=sys.executable)
        if self._forking is not None:
            python = FORKED_PYTHON.format(python=sys.executable, socket=self._listen(self._forking))
        enter = ENTER.format(home=self.home, variables=self._variables)
        for file, text in (("bin/python3", python), ("enter", enter)):
            (self.home / file).write_text(text)
            (self.home / file).chmod(0o755)
        for key in ("host_key", "user_key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.home / key)]
            subprocess.run(command, check=True, capture_output=True)
        public = {key: (self.home / f"{key}.pub").read_text() for key in ("host_key", "user_key")}
        (self.home / "authorized_keys").write_text(f'command="{self.home}/enter" {public["user_key"]}')
        for _ in range(5):  # another process may have taken the port
            with socket.create_server(("127.0.0.1", 0)) as free:
                port: int = free.getsockname()[1]
            (self.home / "sshd_config").write_text(SERVER.format(home=self.home, port=port))
            command = [SSHD, "-D", "-E", str(self.home / "sshd.log"), "-f", str(self.home / "sshd_config")]
            self._server = subprocess.Popen(command)
            if self._listens(self._server, port):
                break
        else:
            pytest.fail(f"sshd doesn't start: {(self.home / 'sshd.log').read_text()}")
        (self.home / "known_hosts").write_text(f"[127.0.0.1]:{port} {public['host_key']}")
        user = pwd.getpwuid(os.getuid()).pw_name
        self.client.write_text(CLIENT.format(home=self.home, port=port, user=user, name=self.name))

    def _listen(self, forking: Forking) -> str:
        """Fork a Python for each that is started in this home; where that is asked for."""
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(name := f"\0nets-{os.urandom(16).hex()}")  # a path could be too long for a socket's
        self._listening.listen()
        Thread(target=_fork_what_is_asked, args=(self._listening, forking, self._site)).start()
        return name

    def _listens(self, server: subprocess.Popen[bytes], port: int) -> bool:
        limit = time.monotonic() + 30
        while server.poll() is None and time.monotonic() < limit:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return True
        return False

    def clone(self, repository: Path) -> None:
        """Check a repository out here."""
        subprocess.run(["git", "clone", "--quiet", str(repository), str(self.checkout)], check=True)

    def stop(self) -> None:
        """Let it be reached no more: a connection is refused."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
        if self._listening is not None:
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None


def _fork_what_is_asked(listening: socket.socket, forking: Forking, site: str) -> None:
    """Until nothing is asked any more; how each process ends is told to who asked."""

    def tell_end(of: Any, asker: socket.socket) -> None:
        with asker, suppress(OSError):  # it has been killed
            asker.send(b"%d" % of.wait())

    with suppress(OSError):
        while True:
            asker, _ = listening.accept()
            request, streams, _, _ = socket.recv_fds(asker, 2**20, 3)
            (*_, code), variables = json.loads(request)
            given = dict(zip(("stdin", "stdout", "stderr"), streams, strict=True))
            started = forking.popen([sys.executable, "-c", f"{site}\n{code}"], env=variables, **given)
            for stream in streams:
                os.close(stream)
            Thread(target=tell_end, args=(started, asker)).start()


@contextmanager
def hosts(
    folder: Path,
    *names: str,
    site: str = "",
    variables: Mapping[str, str] = MappingProxyType({}),
    forking: Forking | None = None,
) -> Iterator[list[Host]]:
    """Hosts by these names; skips where there is no sshd, but fails in CI.

    `site`: code that every Python there begins with. `variables`: of the environment there. `forking`: forks each
    Python there, for tests of what comes of it and not of how it starts.
    """
    missing = [program for program in (SSHD, "ssh", "ssh-keygen") if shutil.which(program) is None]
    if missing:
        because = f"no ssh on loopback: {', '.join(missing)} not found"
        if os.environ.get("CI"):
            pytest.fail(f"{because}; .ci/run installs openssh-server and openssh-client")
        pytest.skip(because)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # as its service does: root's sshd won't start without it
    made = [Host(folder, name, site, variables, forking) for name in names]
    try:
        for host in made:
            host.start()
        yield made
    finally:
        for host in made:
            host.stop()
