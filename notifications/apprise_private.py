"""The one place that touches a private name of apprise (1.13, pinned); a test fails when the name is gone.

apprise builds a TLS context for every mail, which reads the machine's certificates again: 20 to 30 ms. Here each verify
setting has one context, made when a connection first needs it; a mail without TLS needs none. No context is changed
after it was made, so a single address without verification does not switch it off for others.
"""

from __future__ import annotations

import socket
import ssl
from functools import cache
from typing import Any

from apprise.plugins.email import base


@cache
def _context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Wanted:
    """Takes the place of a context: remembers the setting, wraps with the one context made for it."""

    check_hostname = True
    verify_mode = ssl.CERT_REQUIRED

    def wrap_socket(self, sock: socket.socket, **named: Any) -> ssl.SSLSocket:
        return _context(self.verify_mode != ssl.CERT_NONE).wrap_socket(sock, **named)


class _Ssl:
    """What apprise's mail module uses of `ssl`."""

    CERT_NONE = ssl.CERT_NONE

    @staticmethod
    def create_default_context() -> _Wanted:
        return _Wanted()


def keep_tls_contexts() -> bool:
    """Whether the name stands where it is expected; without it mails leave the plain, slower way."""
    if getattr(base, "ssl", None) is not ssl:
        return isinstance(getattr(base, "ssl", None), _Ssl)
    setattr(base, "ssl", _Ssl())  # noqa: B010 -- the name belongs to another module
    return True
