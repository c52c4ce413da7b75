"""The case in stock Prefect, default settings: server on SQLite, a process worker, suspend and resume with input.

Run with the product's own interpreter. All cases wait at once. Each decision costs seconds, so few of them are decided:
some one after another for the latency, others all at once for the throughput.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
from common import THREADS
from stock_flow import STEPS

HERE = Path(__file__).parent
DEPLOY = """
import sys
sys.path.insert(0, {here!r})
from prefect import flow
flow.from_source(source={here!r}, entrypoint="stock_flow.py:approval").deploy(name="case", work_pool_name="stock")
"""


class Stock:
    """A running server and worker."""

    def __init__(self, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SHIXIANG_"))}
        self.environment = {
            **kept, "PREFECT_HOME": str(home), "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PREFECT_CLI_PROMPT": "false",
        }  # fmt: skip
        self.log = (home / "log").open("wb")
        self.parts = [self.started("server", "start", "--host", "127.0.0.1", "--port", str(self.port))]
        # Longer than a server on SQLite stands still at times (decision 0015): that is then part of what is measured.
        self.http = httpx2.Client(base_url=f"{self.environment['PREFECT_API_URL']}/", timeout=300, trust_env=False)
        self.until(self.healthy, 240)
        self.done("work-pool", "create", "stock", "--type", "process")
        subprocess.run(
            [sys.executable, "-c", DEPLOY.format(here=str(HERE))], env=self.environment, check=True,
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.parts.append(self.started("worker", "start", "--pool", "stock"))
        self.deployment = self.http.get("deployments/name/approval/case").json()["id"]

    def started(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "prefect", *words]
        return subprocess.Popen(
            command, env=self.environment, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def done(self, *words: str) -> None:
        assert self.started(*words).wait(120) == 0, words

    def healthy(self) -> bool:
        try:
            return bool(self.http.get("health").status_code == 200)
        except httpx2.HTTPError:
            return False

    @staticmethod
    def until(found: Any, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not found():
            assert time.monotonic() < end, "stock Prefect does not get on"
            time.sleep(0.1)

    def answer(self, path: str, body: dict[str, Any] | None) -> httpx2.Response | None:
        """One try; None where Prefect's own client would try again: on 503, and on a connection that broke."""
        try:
            answer = self.http.get(path) if body is None else self.http.post(path, json=body)
        except (httpx2.ReadError, httpx2.RemoteProtocolError):
            return None
        return None if answer.status_code == 503 else answer.raise_for_status()

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call, tried again as Prefect's own client does."""
        for _ in range(8):
            answer = self.answer(path, body)
            if answer is not None:
                return answer.json()
            time.sleep(0.5)
        raise RuntimeError(f"{path} is not answered")

    def start(self, number: int) -> str:
        run: str = self.call(f"deployments/{self.deployment}/create_flow_run", {"parameters": {"number": number}})["id"]
        return run

    def state(self, run: str) -> tuple[str, str]:
        state = self.call(f"flow_runs/{run}")["state"]
        return str(state["type"]), str((state["state_details"] or {}).get("pause_key") or "")

    def waits(self, run: str, stage: str) -> None:
        self.until(lambda: self.state(run) == ("PAUSED", stage), 240)

    def decide(self, run: str, number: int) -> float:
        """One decision; seconds until the next step waits (or the run is over). A person takes a second to decide: an input
        that comes at once after the suspend is refused.
        """
        time.sleep(1)
        began = time.perf_counter()
        self.resume(run)
        if number + 1 < len(STEPS):
            self.waits(run, STEPS[number + 1])
        else:
            self.until(lambda: self.state(run)[0] == "COMPLETED", 240)
        return time.perf_counter() - began

    def resume(self, run: str) -> None:
        """Tried again like any call: at times a server on SQLite says 503 of a run it has resumed, and refuses the second try."""
        for turn in range(8):
            answer = self.answer(f"flow_runs/{run}/resume", {"run_input": {"verdict": "pass"}})
            if answer is not None:
                status = answer.json()["status"]
                assert status == "ACCEPT" or turn, status
                return
            time.sleep(0.5)
        raise RuntimeError("resume is not answered")

    def carry(self, run: str) -> list[float]:
        return [self.decide(run, number) for number in range(len(STEPS))][:-1]

    def memory(self) -> float:
        """Resident memory of everything in the sessions of server and worker, in MB."""
        total, sessions = 0, {part.pid for part in self.parts}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                    pages = int((entry / "statm").read_text().split()[1])
                except (OSError, IndexError):
                    continue
                total += pages if int(fields[3]) in sessions else 0
        return total * os.sysconf("SC_PAGE_SIZE") / 1e6

    def settled_memory(self) -> float:
        """The same once the processes of the last runs have ended."""
        time.sleep(10)
        return self.memory()

    def stop(self) -> None:
        for part in reversed(self.parts):
            os.killpg(part.pid, signal.SIGTERM)
            try:
                part.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(part.pid, signal.SIGKILL)
                part.wait()
        self.log.close()


def main() -> None:
    cases, alone = int(sys.argv[1]), int(sys.argv[2])
    import prefect

    with tempfile.TemporaryDirectory(prefix="stock-prefect-") as name:
        stock = Stock(Path(name))

        def waiting(number: int) -> str:
            run = stock.start(number)
            stock.waits(run, STEPS[0])
            return run

        try:
            stock.carry(waiting(-1))
            before, started, runs = stock.settled_memory(), [], []
            for number in range(alone):
                began = time.perf_counter()
                runs.append(waiting(number))
                started.append(time.perf_counter() - began)
            with ThreadPoolExecutor(THREADS) as pool:
                runs += pool.map(waiting, range(alone, cases))
            held = stock.settled_memory()
            seconds = [value for run in runs[:alone] for value in stock.carry(run)]
            at_once = runs[alone : alone + THREADS]
            began = time.perf_counter()
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(stock.carry, at_once))
            rate = round(5 * len(at_once) / (time.perf_counter() - began), 2) if at_once else None
        finally:
            stock.stop()
    print(
        json.dumps(
            {
                "name": "stock Prefect, process worker, SQLite", "version": prefect.__version__, "cases": cases,
                "start, s": started, "decision to next step, s": seconds, "decisions a second": rate,
                "memory of the process, MB": round(held, 1),
                "memory a waiting case, kB": round(max(0.0, held - before) * 1000 / cases, 1),
            }
        ),
        flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
