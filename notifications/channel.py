"""The mail channel: apprise with one checked address per mail, and an outcome that tells again from never."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Literal
from urllib.parse import quote

import apprise

from notifications.apprise_private import keep_tls_contexts

_SERVER_SAYS = re.compile(r"\b(?P<code>[245]\d\d)\b")
_LOGGER = logging.getLogger("apprise")
log = logging.getLogger("shixiang.channel")
TIMEOUT_SECONDS = 5


@dataclass(frozen=True)
class Outcome:
    """What became of one mail: accepted, to be tried again, or never to arrive."""

    kind: Literal["accepted", "temporary", "permanent"]
    error: str = ""


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
    """Keeps what apprise logs while one mail is sent: it answers with True or False alone."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class MailChannel:
    """Mails through an apprise `mailto://` address without recipient."""

    name = "mail"

    def __init__(self, mail_url: str) -> None:
        self.url = mail_url

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
        said = _Said()
        _LOGGER.addHandler(said)
        try:
            done = server.notify(title=subject, body=body, body_format=apprise.NotifyFormat.TEXT)
        finally:
            _LOGGER.removeHandler(said)
        return Outcome("accepted") if done else _judge(said.lines)

    def _address(self, to: str, headers: Mapping[str, str], reply_to: str | None) -> str:
        parts = [f"to={quote(to, safe='@')}", "format=text", f"cto={TIMEOUT_SECONDS}", f"rto={TIMEOUT_SECONDS}"]
        if reply_to is not None and sendable(reply_to):
            parts.append(f"reply={quote(reply_to, safe='@')}")
        parts += [f"%2B{quote(name)}={quote(value, safe='')}" for name, value in headers.items()]
        return self.url + ("&" if "?" in self.url else "/?") + "&".join(parts)


def _judge(lines: list[str]) -> Outcome:
    """A 5xx answer of the server is final; anything else is tried again."""
    text = " ".join(lines)[-400:]
    codes = [match["code"] for match in _SERVER_SAYS.finditer(text)]
    if any(code.startswith("5") for code in codes) and not any(code.startswith("4") for code in codes):
        return Outcome("permanent", text)
    return Outcome("temporary", text or "邮件服务器没有回答")
