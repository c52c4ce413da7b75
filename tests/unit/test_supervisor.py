"""The supervisor and a part that ends: why it ended is said, and it is started again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from deployments.lifeline import ANEW
from deployments.supervisor import Part, Supervisor
from models.settings import Settings
from tests.system import until


def said_of_a_part_that_ends(home: Path, status: int) -> list[str]:
    said: list[str] = []
    supervisor = Supervisor(Settings(home=home), said.append)
    part = Part("engine", "流程引擎", [sys.executable, "-c", f"raise SystemExit({status})"])
    supervisor.parts = [part]
    supervisor._start(part)

    def looked() -> list[str]:
        supervisor._look(part)
        return said

    found = list(until(looked, 30, "it is said"))
    supervisor.stop()
    return found


def test_a_part_that_asks_to_be_started_anew_is_started_at_once_and_the_reason_is_said(tmp_path: Path) -> None:
    assert said_of_a_part_that_ends(tmp_path, ANEW) == [
        "流程引擎占用的内存超过上限，已在空闲时重新启动；办理不受影响。"
    ]


def test_a_part_that_dies_is_started_again_and_counted(tmp_path: Path) -> None:
    assert said_of_a_part_that_ends(tmp_path, 1) == ["流程引擎意外退出，已重新启动（第 1 次）。"]


SIGNALLED = """
import sys
import time
from pathlib import Path
from deployments import supervisor
from models.settings import Settings

system = supervisor.Supervisor(Settings(home=Path(sys.argv[1])), lambda line: print(line, flush=True))
system.parts = []
system.end_by(15, 2, 1)
print("up", flush=True)
system.run()
"""


def test_a_shower_of_signals_ends_the_system_once_and_in_order(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SIGNALLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        late = time.monotonic() + 10
        while process.poll() is None and time.monotonic() < late:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                process.send_signal(number)
        try:
            said, complaints = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 0
    assert said.splitlines() == ["正在停止……", "已全部停止。"]
    assert complaints == ""
