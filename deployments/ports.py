"""Ports and the home: looked at before anything is started."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.domain.errors import Unusable


@dataclass(frozen=True)
class Port:
    """A port a part will listen on, the part's name for people, and the setting that moves it."""

    number: int
    part: str
    setting: str


def check_ports(ports: Sequence[Port]) -> None:
    """Raises `Unusable port_taken` naming the part and its setting; two parts on one port are refused too."""
    seen: dict[int, Port] = {}
    for port in ports:
        if port.number in seen or not _free(port.number):
            raise Unusable(
                "port_taken",
                f"端口 {port.number} 已被占用（{port.part}），未启动。请停掉占用的程序，或者改设 {port.setting}。",
                port=port.number,
                part=port.part,
                setting=port.setting,
            )
        seen[port.number] = port


def _free(number: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are just closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port nobody uses at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_home(home: Path) -> None:
    """Make the home, for its owner alone. Raises `Unusable` home_read_only, or restore_unfinished where a restore was
    interrupted.
    """
    probe = home / ".writable"
    if (home / "restore-unfinished").exists():
        raise Unusable(
            "restore_unfinished", f"数据目录 {home} 的还原没有做完，未启动。请重新运行 `shixiang restore … --replace`。"
        )
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe.write_text("", encoding="utf-8")
        probe.unlink()
    except OSError as error:
        raise Unusable(
            "home_read_only",
            f"数据目录 {home} 不能写入，未作任何改动，请检查权限和空间，或者改设 SHIXIANG_HOME。",
            home=str(home),
            reason=error.strerror or "",
        ) from error
