"""Nobody reviews or approves what he drafted: the one rule behind every way in. Pure.

It looks at people, not at ways: the page, the JSON interface, several sheets at once, a substitute, a second login, a
reassignment, the superior who steps in. Whoever was stood in for at drafting counts as the drafter: it was drafted in his
name. So does whoever shares a mailbox with one: the mailbox cannot tell them apart (`models.store.change.drafters` adds both).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

#: Stages at which a draft is made, not judged.
FREE = frozenset({"scope", "draft"})


def barred(stage: str, wrote: Mapping[str, Collection[str]], *people: str | None) -> list[str]:
    """The adjustments that one of these people drafted and therefore may not judge: who acts, and for whom he acts."""
    if stage in FREE:
        return []
    asked = {person for person in people if person is not None}
    return sorted(adjustment for adjustment, drafters in wrote.items() if asked & set(drafters))
