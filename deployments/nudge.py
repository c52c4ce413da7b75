"""A nudge: one datagram to the engine's socket in the home, saying which change has work or that a run waits in Prefect.

A lost nudge costs time only: the engine asks the database as well.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

#: Instead of a change: make pool, flows and deployments again at once.
DEPLOY = "deployments"
#: Instead of a change: a run was set to Scheduled, ask Prefect for it at once.
RUNS = "runs"
#: The kernel takes 107 bytes for the address of a Unix socket; a longer one is reached through its directory.
_LONGEST_ADDRESS = 100
_LONGEST_NUDGE = 512


def socket_path(home: Path) -> Path:
    """Where the engine of this home listens."""
    return home / "engine.sock"


def nudge(home: Path, change_id: str) -> bool:
    """Tell the engine that a change has work. False where no engine listens; never raises, never waits."""
    with _reachable(socket_path(home)) as address, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.setblocking(False)
        try:
            line.sendto(change_id.encode()[:_LONGEST_NUDGE], address)
        except OSError:
            return False
    return True


def listen(home: Path) -> socket.socket:
    """The engine's end. What a dead engine left there is removed; the socket is for this user alone."""
    path = socket_path(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        with _reachable(path) as address:
            line.bind(address)
        path.chmod(0o600)
    except BaseException:
        line.close()
        raise
    return line


def read(line: socket.socket) -> str:
    """The change of the next nudge: waits for one within the socket's own timeout, else raises `TimeoutError`."""
    return line.recv(_LONGEST_NUDGE).decode(errors="replace")


class _reachable(contextlib.AbstractContextManager[str]):
    """An address the kernel takes for a path of any length."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.directory: int | None = None

    def __enter__(self) -> str:
        if len(os.fsencode(self.path)) <= _LONGEST_ADDRESS:
            return str(self.path)
        try:
            self.directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return str(self.path)[-_LONGEST_ADDRESS:]
        return f"/proc/self/fd/{self.directory}/{self.path.name}"

    def __exit__(self, *error: object) -> None:
        if self.directory is not None:
            os.close(self.directory)
