"""The local mailbox as pages: what the office would have sent. Only where no mail server is set."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from models.domain.errors import Unknown
from models.words import N_
from notifications.mailbox_files import read_mail, read_mails
from portal.pages import render
from portal.state import portal_of, signed_in

router = APIRouter(include_in_schema=False)
ON_A_PAGE = 50
KINDS = {
    "tasks": (N_("待办"), ("draft_opened", "review_opened", "countersign_opened", "naming_opened", "approval_opened",
                       "scope_to_confirm", "digest", "reassigned_to")),
    "returned": (N_("退回"), ("returned",)),
    "late": (N_("提醒和逾期"), ("reminder", "overdue_superior", "supervise", "urged", "no_owner", "sheet_stuck")),
    "published": (N_("发布"), ("published", "publication_blocked")),
    "sign_in": (N_("登录"), ("sign_in", "code")),
}  # fmt: skip


@router.api_route("/mailbox", methods=["GET", "HEAD"])
def mailbox(request: Request, to: str = "", kind: str = "", mail: str = "", page: int = 1) -> Response:
    """The mails, newest first, and one of them open."""
    folder = portal_of(request).settings.home_path / "mailbox"
    every = read_mails(folder, limit=5000)
    wanted = KINDS.get(kind, ("", ()))[1]
    mails = [one for one in every if (not to or one.to == to) and (not wanted or one.kind in wanted)]
    pages = max(1, -(-len(mails) // ON_A_PAGE))
    page = min(max(1, page), pages)
    shown = mails[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]
    opened = read_mail(folder, mail) if mail else (shown[0] if shown else None)
    if mail and opened is None:
        raise Unknown("mail_unknown", "没有这封邮件，可能已被清理。")
    return render(
        request,
        "mailbox.html",
        nav="mailbox",
        person=signed_in(request),
        mails=shown,
        total=len(mails),
        page=page,
        pages=pages,
        opened=opened,
        to=to,
        kind=kind,
        kinds=[(key, label) for key, (label, _kinds) in KINDS.items()],
        receivers=sorted({one.to for one in every}),
    )
