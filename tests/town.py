"""`shixiang up` as a user starts it, for tests: free ports, a home of its own, its parts by name."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from deployments.ports import free_port
from tests.system import PATIENCE, until

COMMAND = [sys.executable, "-m", "deployments.cli", "up", "--sample-items", "60", "--sample-departments", "8"]
PARTS = ("portal", "engine", "prefect", "mailbox")


def environment(home: Path, **more: str) -> dict[str, str]:
    """Free ports and a home of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SHIXIANG_", "PREFECT_"))}
    ports = {f"SHIXIANG_{name}_PORT": str(free_port()) for name in ("PORTAL", "PREFECT", "MAILBOX")}
    return {**kept, "SHIXIANG_HOME": str(home), **ports, **more}


@contextmanager
def running(settings: dict[str, str], log: Path, command: list[str] = COMMAND) -> Iterator[subprocess.Popen[bytes]]:
    """The system, ready; ended afterwards."""
    before = log.stat().st_size if log.exists() else 0
    with log.open("ab") as file:
        process = subprocess.Popen(command, env=settings, stdout=file, stderr=file)

    def up() -> bool:
        # Its own word for it: another system may have been faster to take the port.
        return "已启动" in log.read_bytes()[before:].decode() and ready(settings)

    try:
        until(lambda: up() or process.poll() is not None, 2 * PATIENCE, "ready")
        assert process.poll() is None, log.read_text(encoding="utf-8")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def portal(settings: dict[str, str]) -> str:
    """The portal's address."""
    return f"http://127.0.0.1:{settings['SHIXIANG_PORTAL_PORT']}"


def ready(settings: dict[str, str]) -> bool:
    """Whether the portal says that every part is there."""
    try:
        return httpx2.get(f"{portal(settings)}/healthz", timeout=5, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


def parts(process: subprocess.Popen[bytes]) -> dict[str, int]:
    """The processes of the system by what their command line names."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except (OSError, IndexError):
                continue
            if parent == process.pid:
                module = re.search(r"deployments\.(portal|engine|prefect|mailbox)", command)
                if module:
                    found[module.group(1)] = int(entry.name)
    return found


def alive(pid: int) -> bool:
    """Whether a process is there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False
