"""The mail channel: apprise with one checked address per mail, and an outcome that tells again from never."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Literal
from urllib.parse import quote

import apprise

from notifications.apprise_private import keep_tls_contexts

#: As smtplib writes an answer of the server: `(550, b'no such user')`; digits in an address are none.
_SERVER_SAYS = re.compile(r"\((?P<code>[45]\d\d), b")
_NOT_REACHED = "Connection error"
_LOGGER = logging.getLogger("apprise")
log = logging.getLogger("shixiang.channel")
TIMEOUT_SECONDS = 5


@dataclass(frozen=True)
class Outcome:
    """What became of one mail: accepted, to be tried again, or never to arrive.

    `away` where the server did not answer: nothing is known about this mail. `doubtful` where it may have arrived all the
    same: the answer to its last byte never came.
    """

    kind: Literal["accepted", "temporary", "permanent"]
    error: str = ""
    away: bool = False
    doubtful: bool = False


def sendable(address: str | None) -> bool:
    """One plain address: apprise would mail the sender, and report success, for what it cannot read."""
    if not address or any(sign in address for sign in ",&? \t\r\n<>;"):
        return False
    return (
        address.count("@") == 1
        and parseaddr(address)[1] == address
        and not address.startswith("@")
        and address[-1] != "@"
    )


class _Said(logging.Handler):
    """Keeps what apprise logs while a thread sends a mail: it answers with True or False alone."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._lines: dict[int, list[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        lines = self._lines.get(threading.get_ident())
        if lines is not None:
            lines.append(record.getMessage())

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """The lines of this thread alone: others send at the same moment."""
        mine = self._lines[threading.get_ident()] = []
        try:
            yield mine
        finally:
            del self._lines[threading.get_ident()]


_SAID = _Said()


def _listen() -> None:
    """Hear what apprise says down to the server's own words; they name addresses and go into no log of ours."""
    if _SAID not in _LOGGER.handlers:
        _LOGGER.addHandler(_SAID)
        _LOGGER.setLevel(logging.DEBUG)
        _LOGGER.propagate = False


class MailChannel:
    """Mails through an apprise `mailto://` address without recipient."""

    name = "mail"

    def __init__(self, mail_url: str) -> None:
        self.url = mail_url
        _listen()

    def warm(self) -> None:
        """Load the plugins now, not with the first mail, and keep the TLS contexts."""
        if not keep_tls_contexts():
            log.warning("apprise is not the version that was proved; mails leave the plain way")
        apprise.Apprise().add(self._address("nobody@localhost.local", {}, None))

    def send(
        self, *, to: str | None, subject: str, body: str, headers: Mapping[str, str], reply_to: str | None
    ) -> Outcome:
        """Send one mail. An address that is none is permanent; what the server says decides the rest."""
        if to is None or not sendable(to):
            return Outcome("permanent", "没有可用的邮箱地址")
        server = apprise.Apprise()  # a new one for every mail: a used one sleeps before the next
        if not server.add(self._address(to, headers, reply_to)):
            return Outcome("permanent", "邮件通道的地址不可用")
        with _SAID.listening() as lines:
            done = server.notify(title=subject, body=body, body_format=apprise.NotifyFormat.TEXT)
        return Outcome("accepted") if done else _judge(lines)

    def _address(self, to: str, headers: Mapping[str, str], reply_to: str | None) -> str:
        parts = [f"to={quote(to, safe='@')}", "format=text", f"cto={TIMEOUT_SECONDS}", f"rto={TIMEOUT_SECONDS}"]
        if reply_to is not None and sendable(reply_to):
            parts.append(f"reply={quote(reply_to, safe='@')}")
        parts += [f"%2B{quote(name)}={quote(value, safe='')}" for name, value in headers.items()]
        return self.url + ("&" if "?" in self.url else "/?") + "&".join(parts)


def _judge(lines: list[str]) -> Outcome:
    """A 5xx answer to this mail is final. A server that is not reached, lets nobody in or falls silent says nothing about it."""
    text = " ".join(lines)[-400:]
    if any(line.startswith(_NOT_REACHED) for line in lines):
        return Outcome("temporary", text, away=True)
    codes = [match["code"] for match in _SERVER_SAYS.finditer(text)]
    if not codes:
        return Outcome("temporary", text or "邮件服务器没有回答", away=True, doubtful=True)
    return Outcome("permanent" if all(code.startswith("5") for code in codes) else "temporary", text)
