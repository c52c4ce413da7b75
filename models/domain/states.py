"""What may follow what: one table for each machine, from state → {verb: state}.

A verb that is not in the row of a state is refused. `docs/states.md` is drawn from these tables.

check_transition(machine, state, verb) -> state      Conflict `transition_refused`
mermaid(machine) -> str                              a mermaid state diagram
document() -> str                                    docs/states.md
"""

from __future__ import annotations

from models.domain.errors import Conflict
from models.domain.vocabulary import STATE_NAMES

Table = dict[str, dict[str, str]]

CHANGE: Table = {
    "registered": {"assess": "assessing", "withdraw": "withdrawn"},
    "assessing": {"propose": "scoping", "close_no_item": "closed"},
    "scoping": {
        "confirm_scope": "running",
        "change_params": "assessing",
        "close_no_item": "closed",
        "withdraw": "withdrawn",
    },
    "running": {
        "add": "running",
        "take_out": "running",
        "move": "running",
        "postpone": "running",
        "finish_published": "closing",
        "finish_unpublished": "closed",
        # Only while nothing is published; later the remaining adjustments are removed and the change goes to closing.
        "withdraw": "withdrawn",
    },
    "closing": {"receive_last": "closed", "close_with_reason": "closed"},
    "closed": {},
    "withdrawn": {},
}

ADJUSTMENT: Table = {
    "proposed": {
        "confirm_scope": "drafting",
        # The short road: nobody drafts.
        "confirm_short": "in_review",
        "leave": "declined",
        "take_out": "removed",
        "withdraw": "removed",
    },
    "drafting": {"submit": "in_review", "move": "drafting", "take_out": "removed", "withdraw": "removed"},
    "in_review": {
        "return": "drafting",
        "approve_changed": "drafting",
        "raise": "drafting",
        "pass_last": "approved",
        "confirm_decline": "declined",
        "reject": "rejected",
        "take_out": "removed",
        "withdraw": "removed",
    },
    "approved": {"schedule": "scheduled", "block": "blocked", "take_out": "removed", "withdraw": "removed"},
    "scheduled": {
        "publish": "published",
        "block": "blocked",
        "recall": "approved",
        "take_out": "removed",
        "withdraw": "removed",
    },
    "blocked": {
        "rebase": "drafting",
        "rebase_clean": "in_review",
        "take_out": "removed",
        "withdraw": "removed",
    },
    "published": {},
    "declined": {},
    "rejected": {},
    "removed": {},
}

SHEET: Table = {
    # A return opens a new round; `stick` sets a mark and leaves the state.
    # All lines declined, rejected or taken out: nothing waits to be published.
    "open": {"wait": "waiting", "return": "open", "finish": "done", "dissolve": "dissolved", "stick": "open"},
    "waiting": {"finish": "done", "reopen": "open"},
    "done": {},
    "dissolved": {},
}

STEP: Table = {
    "open": {
        "pass": "passed",
        "return": "returned",
        "stop_clock": "stopped",
        "supersede": "superseded",
        "withdraw": "withdrawn",
        "pass_by_silence": "passed_by_silence",
    },
    "stopped": {"restart_clock": "open", "withdraw": "withdrawn"},
    "passed": {},
    "returned": {},
    "superseded": {},
    "withdrawn": {},
    "passed_by_silence": {},
}

ASSIGNMENT: Table = {
    "queued": {"claim": "open", "assign": "open"},
    "open": {
        "decide": "decided",
        "reassign": "moved",
        "leave": "moved",
        "release": "released",
        "drop_signer": "dropped",
        "supersede": "superseded",
        "withdraw": "withdrawn",
    },
    # Undo opens a new row; the decided one stays as it is.
    "decided": {"undo": "open"},
    "moved": {},
    "released": {},
    "dropped": {},
    "superseded": {},
    "withdrawn": {},
}

NOTICE: Table = {
    "queued": {"hold": "held", "claim": "sending", "cancel": "cancelled"},
    "held": {"let_go": "queued", "cancel": "cancelled"},
    "sending": {"accept": "sent", "defer": "retrying", "refuse": "undeliverable", "lapse": "doubtful"},
    "retrying": {"claim": "sending", "give_up": "undeliverable"},
    "doubtful": {"claim": "sending", "give_up": "undeliverable"},
    "sent": {},
    "undeliverable": {},
    "cancelled": {},
}

LINK: Table = {
    "active": {"expire": "expired", "revoke": "revoked", "spend": "spent"},
    "expired": {},
    "revoked": {},
    "spent": {},
}

PUBLICATION: Table = {
    "planned": {"come_due": "due", "recall": "recalled"},
    "due": {"publish": "published", "block_all": "empty", "try_again": "due"},
    "published": {"issue": "issued"},
    "issued": {"link": "linked"},
    "empty": {},
    "linked": {},
    "recalled": {},
}

MACHINES: dict[str, Table] = {
    "change": CHANGE,
    "adjustment": ADJUSTMENT,
    "sheet": SHEET,
    "step": STEP,
    "assignment": ASSIGNMENT,
    "notice": NOTICE,
    "link": LINK,
    "publication": PUBLICATION,
}

#: Who may use a verb: engine (a leg), coordinator, starter, drafter, reviewer (and approver), person (the one asked),
#: watch (the clock of the system), deliverer.
OWNERS: dict[str, dict[str, tuple[str, ...]]] = {
    "change": {
        "assess": ("engine",),
        "withdraw": ("starter", "coordinator"),
        "propose": ("engine",),
        "confirm_scope": ("coordinator",),
        "change_params": ("coordinator",),
        "close_no_item": ("coordinator", "engine"),
        "add": ("coordinator",),
        "take_out": ("coordinator",),
        "move": ("coordinator",),
        "postpone": ("coordinator",),
        "finish_published": ("engine",),
        "finish_unpublished": ("engine",),
        "receive_last": ("engine",),
        "close_with_reason": ("coordinator",),
    },
    "adjustment": {
        "confirm_scope": ("coordinator",),
        "confirm_short": ("coordinator",),
        "leave": ("coordinator",),
        "take_out": ("coordinator",),
        "withdraw": ("coordinator",),
        "raise": ("reviewer",),
        "submit": ("drafter",),
        "move": ("coordinator",),
        "return": ("reviewer",),
        "approve_changed": ("reviewer",),
        "pass_last": ("engine",),
        "confirm_decline": ("engine",),
        "reject": ("reviewer",),
        "schedule": ("engine",),
        "block": ("engine",),
        "publish": ("engine",),
        "recall": ("coordinator",),
        "rebase": ("drafter",),
        "rebase_clean": ("engine",),
    },
    "sheet": {
        "wait": ("engine",),
        "return": ("reviewer",),
        "dissolve": ("engine",),
        "stick": ("engine",),
        "finish": ("engine",),
        "reopen": ("engine",),
    },
    "step": {
        "pass": ("engine",),
        "return": ("engine",),
        "stop_clock": ("coordinator", "reviewer"),
        "restart_clock": ("coordinator", "reviewer"),
        "supersede": ("engine",),
        "withdraw": ("engine",),
        "pass_by_silence": ("watch",),
    },
    "assignment": {
        "claim": ("person",),
        "assign": ("coordinator",),
        "decide": ("person",),
        "reassign": ("coordinator",),
        "leave": ("engine",),
        "release": ("engine",),
        "drop_signer": ("coordinator",),
        "supersede": ("engine",),
        "withdraw": ("engine",),
        "undo": ("person",),
    },
    "notice": {
        "hold": ("engine",),
        "let_go": ("deliverer",),
        "claim": ("deliverer",),
        "cancel": ("engine",),
        "accept": ("deliverer",),
        "defer": ("deliverer",),
        "refuse": ("deliverer",),
        "lapse": ("deliverer",),
        "give_up": ("deliverer",),
    },
    "link": {"expire": ("watch",), "revoke": ("coordinator", "engine"), "spend": ("person",)},
    "publication": {
        "come_due": ("watch",),
        "recall": ("coordinator",),
        "publish": ("engine",),
        "block_all": ("engine",),
        "try_again": ("engine",),
        "issue": ("engine",),
        "link": ("engine",),
    },
}

_TITLES = {
    "change": "Change (`phase`)",
    "adjustment": "Adjustment",
    "sheet": "Sheet",
    "step": "Step",
    "assignment": "Assignment",
    "notice": "Notice",
    "link": "Link",
    "publication": "Publication",
}


def check_transition(machine: str, state: str, verb: str) -> str:
    """The state that follows. Raises `Conflict transition_refused` where the state does not allow the verb.

    Raises `KeyError` for a machine nobody knows: that is a mistake in the code, not of a person.
    """
    target = MACHINES[machine].get(state, {}).get(verb)
    if target is None:
        label = STATE_NAMES[machine].get(state)
        name = label.short if label else state
        raise Conflict(
            "transition_refused",
            f"当前状态为“{name}”，不能进行此项操作，未作任何改动。请刷新页面后查看最新办理情况。",
            machine=machine,
            state=state,
            verb=verb,
        )
    return target


def terminal(machine: str) -> frozenset[str]:
    """The states of a machine that nothing follows."""
    return frozenset(state for state, verbs in MACHINES[machine].items() if not verbs)


def mermaid(machine: str) -> str:
    """The machine as a mermaid state diagram, one arrow for each pair of states, with its verbs and who may use them."""
    table = MACHINES[machine]
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(table))}"]
    for state, verbs in table.items():
        arrows: dict[str, list[str]] = {}
        for verb, target in verbs.items():
            arrows.setdefault(target, []).append(f"{verb} ({'/'.join(OWNERS[machine][verb])})")
        lines += [f"    {state} --> {target}: {', '.join(words)}" for target, words in arrows.items()]
        if not verbs:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)


def document() -> str:
    """The text of docs/states.md."""
    parts = [
        "# States\n",
        "Drawn from the tables in `models/domain/states.py`; a test compares. After each verb stands who may use it.\n",
    ]
    for machine, table in MACHINES.items():
        names = "\n".join(f"| `{s}` | {STATE_NAMES[machine][s].short} | {STATE_NAMES[machine][s].en} |" for s in table)
        parts.append(
            f"## {_TITLES[machine]}\n\n```mermaid\n{mermaid(machine)}\n```\n\n| state | 中文 | English |\n|---|---|---|\n{names}\n"
        )
    return "\n".join(parts)
