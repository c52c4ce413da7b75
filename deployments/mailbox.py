"""The local mailbox: an SMTP server on the loopback address that keeps every mail as a file."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from deployments import lifeline
from notifications.mailbox_files import store_mail


class Keeper:
    """Takes every mail and answers when it is on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Called with the whole mail after the final dot."""
        content = envelope.content
        try:
            store_mail(self.folder, content if isinstance(content, bytes) else content.encode())
        except OSError as error:  # a full disk is no reason to refuse a mail for good
            return f"452 4.3.1 {type(error).__name__}"
        return "250 OK"


def mailbox(port: int, folder: Path) -> Controller:
    """The server, not started yet."""
    return Controller(Keeper(folder), hostname="127.0.0.1", port=port)


def main() -> None:
    """Run until told to end."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before any thread is there: kept until they are waited for
    lifeline.follow()
    parser = argparse.ArgumentParser(prog="mailbox")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    chosen = parser.parse_args()
    server = mailbox(chosen.port, chosen.home / "mailbox")
    server.start()
    signal.sigwait(ends)
    server.stop()


if __name__ == "__main__":
    main()
