"""Signed links: the token is computed from the link's row and a secret that is not in the database.

A stolen copy of the database therefore holds no working link, and each mail can be written anew.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from models.domain.errors import Unknown

_SEPARATOR = "\x1f"
_MAC_BYTES = 16


@dataclass(frozen=True)
class TokenParts:
    """What a token carries in the open: the key it was made with and the link it belongs to."""

    key_id: str
    link_id: str
    mac: bytes


def _bad_link() -> Unknown:
    return Unknown("bad_link", "链接不完整或者不正确，无法打开。请从通知邮件中完整复制，或者联系事项管理部门。")


def make_token(link: Mapping[str, Any], secrets: Mapping[str, bytes]) -> str:
    """The token of a link row (`id, purpose, person_id, nonce, expires_at, key_id`): at most 60 characters."""
    body = f"{link['key_id']}.{link['id']}".encode()
    return _text(body) + "." + _text(_mac(link, secrets[link["key_id"]]))


def read_token(token: str) -> TokenParts:
    """The parts of a token; `Unknown bad_link` for anything that is none."""
    try:
        body, mac = (_bytes(part) for part in token.split("."))
        text = body.decode("ascii")
        # Spare bits at the end and signs no id holds: one link has one token.
        if f"{_text(body)}.{_text(mac)}" != token or not text.isprintable():
            raise ValueError("not as it was written")
        key_id, link_id = text.split(".")
        return TokenParts(key_id, link_id, mac)
    except (ValueError, UnicodeError):
        raise _bad_link() from None


def check_token(parts: TokenParts, link: Mapping[str, Any], secrets: Mapping[str, bytes]) -> None:
    """Whether the token belongs to this row, in constant time; `Unknown bad_link` otherwise."""
    secret = secrets.get(parts.key_id)
    if secret is None or parts.key_id != link["key_id"] or not hmac.compare_digest(parts.mac, _mac(link, secret)):
        raise _bad_link()


def make_code(row: Mapping[str, Any], secrets: Mapping[str, bytes]) -> str:
    """The six digits of a proof's row (`id, person_id, nonce, browser, key_id`): computed, like a token."""
    parts = ("code", row["id"], row["person_id"], row["nonce"], row["browser"], row["key_id"])
    digest = hmac.digest(secrets[row["key_id"]], _SEPARATOR.join(parts).encode(), hashlib.sha256)
    return f"{int.from_bytes(digest[:8], 'big') % 1_000_000:06d}"


def check_code(typed: str, row: Mapping[str, Any], secrets: Mapping[str, bytes]) -> bool:
    """Whether somebody typed the code of this row; compared in constant time."""
    return row["key_id"] in secrets and hmac.compare_digest(typed.encode(), make_code(row, secrets).encode())


def _mac(link: Mapping[str, Any], secret: bytes) -> bytes:
    expires: datetime = link["expires_at"]
    parts = (
        link["purpose"],
        link["id"],
        link["person_id"],
        link["nonce"],
        str(int(expires.timestamp())),
        link["key_id"],
    )
    return hmac.digest(secret, _SEPARATOR.join(parts).encode(), hashlib.sha256)[:_MAC_BYTES]


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def load_secrets(home: Path) -> tuple[str, dict[str, bytes]]:
    """The id of the current key and all keys, from `secret.json` in home; made at first start, readable by its owner."""
    path = home / "secret.json"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        body = {"current": "k1", "keys": {"k1": random.token_hex(32)}}
        fresh = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(body, file)
        try:
            os.link(fresh, path)  # the first of two processes wins, the other reads its secret
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    data = json.loads(path.read_text(encoding="utf-8"))
    return str(data["current"]), {key: bytes.fromhex(value) for key, value in data["keys"].items()}
