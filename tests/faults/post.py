"""A mail server that does what a test tells it: takes mails, refuses them, is slow, falls silent, is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from notifications.mailbox_files import store_mail

Say = Callable[[str], str | None]


def _nothing(to: str) -> str | None:
    return None


class Post:
    """Keeps what it takes as the local mailbox does. All times in seconds."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port, self.folder = port, folder
        self._controller: Controller | None = None
        self.behave()

    def behave(self) -> None:
        """Take every mail at once."""
        self.slow = 0.0
        #: What is said to a sender, to a recipient, or to a whole mail instead of keeping it; None takes it.
        self.to_sender: Say = _nothing
        self.to_recipient: Say = _nothing
        self.to_mail: Say = _nothing
        #: Called when a mail was kept, before the answer; in a thread of its own.
        self.kept: Callable[[], object] = lambda: None
        #: Seconds of silence after the mail was kept, before the answer.
        self.silent = 0.0

    def open(self) -> None:
        """Listen."""
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def close(self) -> None:
        """Be away: connections are refused."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        said = self.to_sender(address)
        if said is not None:
            return said
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        await asyncio.sleep(self.slow)
        said = await asyncio.to_thread(self.to_recipient, address)
        if said is not None:
            return said
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        await asyncio.sleep(self.slow)
        said = self.to_mail(envelope.rcpt_tos[0])
        if said is not None:
            return said
        store_mail(self.folder, envelope.content)
        await asyncio.to_thread(self.kept)
        await asyncio.sleep(self.silent)
        return "250 OK"
