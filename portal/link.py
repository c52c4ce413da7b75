"""Opening a desk by the token of its link."""

from __future__ import annotations

from fastapi import Request

from models.actions import signing
from notifications.links import check_token, read_token
from portal.state import guessing, portal_of


def open_link(request: Request, token: str) -> tuple[str, str]:
    """Whose desk in which change. Raises `Unknown bad_link`, `Gone dead_link`, `TooMany`."""
    portal = portal_of(request)
    with guessing(request):
        parts = read_token(token)
        opened = signing.desk_of(
            portal.db,
            link_id=parts.link_id,
            check=lambda link: check_token(parts, link, portal.secrets),
            now=portal.now(),
        )
    portal.limits.link.take(parts.link_id)
    return opened
