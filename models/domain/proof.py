"""Which proof a stage asks for, and whether what was shown is enough. Pure.

A link is not a person: it may be forwarded. A proof shows that whoever decides reads the registered mailbox now: by a
session signed in through a mailed link, or by a code mailed to it. One is as good as the other.
A mailbox that several people share proves none of them; there a code is not enough: whoever signs in says which of them
he is, and that is on record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from models.domain.errors import ProofNeeded

Kind = Literal["none", "session", "code", "oidc"]
#: Stages that ask for the office's proof where their procedure says nothing.
BY_DEFAULT = frozenset({"scope", "legality", "list", "naming", "approval"})
#: From weak to strong, for a stage that two procedures share; `None` is the office's own choice.
_ORDER: tuple[Kind | None, ...] = ("none", None, "session", "code", "oidc")


@dataclass(frozen=True)
class Shown:
    """What a browser has shown of its person, and until when it holds."""

    kind: Literal["session", "code"]
    until: datetime


def asked_proof(stage: str, own: str | None, office: str, *, shared: bool = False) -> str:
    """What a stage asks for: its procedure's word, else the office's; from a shared address always a sign-in."""
    wanted = own if own is not None else office if stage in BY_DEFAULT else "none"
    return "session" if shared else wanted


def asked_to_steer(act: str, stage: str, own: str | None, office: str, *, shared: bool = False) -> str:
    """What acting on another's step by a link asks for: handing it on as much as deciding it, urging nothing."""
    wanted = asked_proof(stage, own, office, shared=shared)
    return wanted if act == "reassign" or shared else "none"


def is_enough(asked: str, shown: str, *, shared: bool = False) -> bool:
    """Whether the proof that was shown (`none`, `session` or `code`) is enough."""
    if shared:
        return shown == "session"
    return asked == "none" or shown in ("session", "code")


def check_shown(what: str, *, stage: str, asked: str, shown: str, shared: bool, **details: Any) -> None:
    """Whoever does this by a link has shown who he is where it is asked for; from a shared address always by signing in.

    Raises `ProofNeeded proof_needed`.
    """
    if is_enough(asked, shown, shared=shared):
        return
    message = f"办理{what}须核验身份，本次提交未记录。请获取验证码或者登录后再提交，已填内容会保留。"
    if shared:
        message = f"您的邮箱由多人共用，办理{what}前请登录并选择您是哪一位。本次提交未记录，已填内容会保留。"
    raise ProofNeeded("proof_needed", message, stage=stage, proof=asked, shared=shared, **details)


def stronger(one: Kind | None, other: Kind | None) -> Kind | None:
    """The stronger demand of two."""
    return max(one, other, key=_ORDER.index)
