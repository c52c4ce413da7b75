"""The mail channel: apprise with one checked address per mail, and an outcome that tells again from never."""

from __future__ import annotations

import logging
import re
import smtplib
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import Literal
from urllib.parse import quote

import apprise

from models.domain.outside import one_line
from notifications.apprise_private import keep_tls_contexts

#: An answer that speaks of us although it came to the recipient or the text, as Postfix gives it by default: no
#: authentication (530), the sender's address (5.1.7, 5.1.8, "Sender address rejected"), our machine or its greeting.
_OF_US = re.compile(
    r"^530|^\d+ 5\.(1\.[78]|7\.8)\b|\b(sender address|client host|helo command) rejected", re.IGNORECASE
)
#: This mail is longer than the server takes, said when its size is announced with the sender.
_TOO_LONG = 552
_NOT_REACHED = "Connection error"
REFUSES_US = "邮件服务器不接受本系统发信：{}"
_LOGGER = logging.getLogger("apprise")
log = logging.getLogger("shixiang.channel")
TIMEOUT_SECONDS = 5


@dataclass(frozen=True)
class Outcome:
    """What became of one mail: accepted, to be tried again, or never to arrive.

    `away` where the server did not answer, or takes nothing from us: nothing is known about this mail. `doubtful` where it
    may have arrived all the same: the answer to its last byte never came.
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


@dataclass
class _Heard:
    """What apprise said of one mail: its lines, and the error it last spoke of."""

    lines: list[str] = field(default_factory=list)
    error: BaseException | None = None


class _Said(logging.Handler):
    """Keeps what apprise logs while a thread sends a mail: it answers with True or False alone."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._heard: dict[int, _Heard] = {}

    def emit(self, record: logging.LogRecord) -> None:
        heard = self._heard.get(threading.get_ident())
        if heard is not None:
            heard.lines.append(record.getMessage())
            # It writes its line while it handles the error; the line alone does not tell who was refused.
            heard.error = sys.exception() or heard.error

    @contextmanager
    def listening(self) -> Iterator[_Heard]:
        """What is said in this thread alone: others send at the same moment."""
        mine = self._heard[threading.get_ident()] = _Heard()
        try:
            yield mine
        finally:
            del self._heard[threading.get_ident()]


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
        with _SAID.listening() as heard:
            done = server.notify(title=subject, body=body, body_format=apprise.NotifyFormat.TEXT)
        return Outcome("accepted") if done else _judge(heard)

    def _address(self, to: str, headers: Mapping[str, str], reply_to: str | None) -> str:
        parts = [f"to={quote(to, safe='@')}", "format=text", f"cto={TIMEOUT_SECONDS}", f"rto={TIMEOUT_SECONDS}"]
        if reply_to is not None and sendable(reply_to):
            parts.append(f"reply={quote(reply_to, safe='@')}")
        parts += [f"%2B{quote(name)}={quote(value, safe='')}" for name, value in headers.items()]
        return self.url + ("&" if "?" in self.url else "/?") + "&".join(parts)


def _judge(heard: _Heard) -> Outcome:
    """A 5xx answer to this recipient or this mail is final.

    A server that is not reached, falls silent, or wants nothing from us says nothing about the mail: what is wrong there is
    wrong with every mail, and mended in one place.
    """
    reached = not any(line.startswith(_NOT_REACHED) for line in heard.lines)
    answers = _answers(heard.error)
    if not answers:
        said = "邮件服务器没有回答" if reached else "邮件服务器连不上"
        return Outcome(
            "temporary", f"{said}（{heard.error}）"[:400] if heard.error else said, away=True, doubtful=reached
        )
    said = "；".join(f"{code} {words}" for code, words in answers)[:400]
    final = all(code >= 500 for code, _ in answers)
    refused = final and isinstance(heard.error, smtplib.SMTPSenderRefused) and answers[0][0] != _TOO_LONG
    if not reached or isinstance(heard.error, smtplib.SMTPHeloError) or refused or (final and _OF_US.search(said)):
        return Outcome("temporary", REFUSES_US.format(said), away=True)
    return Outcome("permanent" if final else "temporary", said)


def _answers(error: BaseException | None) -> list[tuple[int, str]]:
    """Code and words of each refusal; none where the server did not get to one."""
    found: list[tuple[int, bytes | str]] = []
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        found = list(error.recipients.values())
    elif isinstance(error, smtplib.SMTPResponseException):
        found = [(error.smtp_code, error.smtp_error)]
    return [
        (code, one_line(said.decode(errors="replace") if isinstance(said, bytes) else said)) for code, said in found
    ]
