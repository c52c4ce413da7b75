"""Which proof is asked for, and what is enough."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from models.domain.errors import BadInput
from models.domain.procedure import merge_procedures, read_procedure
from models.domain.proof import asked_proof, asked_to_steer, is_enough, stronger
from models.domain.review import VERDICTS
from models.reference.procedures import shipped
from models.settings import Settings


@pytest.mark.parametrize("office", ["none", "session", "code"])
def test_the_office_turns_proof_on_where_it_counts_and_not_at_drafting(office: str) -> None:
    asked = {stage: asked_proof(stage, None, office) for stage in VERDICTS}
    assert asked == {
        "scope": office, "draft": "none", "form": "none", "countersign": "none", "legality": office, "list": office,
        "naming": office, "approval": office,
    }  # fmt: skip


def test_a_procedures_word_goes_before_the_offices_and_a_shared_address_before_both() -> None:
    assert asked_proof("legality", "none", "code") == "none"
    assert asked_proof("draft", "code", "none") == "code"
    assert asked_proof("draft", None, "none", shared=True) == "session"
    assert asked_proof("legality", "none", "none", shared=True) == "session"


def test_a_session_is_as_good_as_a_code_but_a_code_says_nothing_of_a_shared_mailbox() -> None:
    assert is_enough("none", "none")
    assert not is_enough("code", "none") and not is_enough("session", "none")
    assert all(is_enough(asked, shown) for asked in ("code", "session") for shown in ("code", "session"))
    assert is_enough("session", "session", shared=True)
    assert not is_enough("session", "code", shared=True) and not is_enough("none", "none", shared=True)


def test_of_two_procedures_the_stronger_demand_counts() -> None:
    assert [stronger(*pair) for pair in (("none", None), (None, "code"), ("code", "session"), ("none", "none"))] == [
        None, "code", "code", "none",
    ]  # fmt: skip
    stage = {"code": "legality", "name": "合法性审查", "role": "legality_reviewer", "days": 5}
    one = read_procedure("rename", "x", [{**stage, "proof": "code"}])
    other = read_procedure("change_basis", "x", [{**stage, "days": 7}])
    assert [(s.days, s.proof) for s in merge_procedures([one, other]).stages] == [(7, "code")]


def test_shipped_procedures_leave_it_to_the_office() -> None:
    assert {stage.proof for procedure in shipped().values() for stage in procedure.stages} == {None}


def test_what_is_not_built_is_refused_with_a_sentence() -> None:
    stage = {"code": "legality", "name": "合法性审查", "role": "legality_reviewer", "days": 5, "proof": "oidc"}
    with pytest.raises(BadInput) as refused:
        read_procedure("rename", "x", [stage])
    assert refused.value.code == "procedure_refused" and "统一认证" in refused.value.message
    with pytest.raises(ValidationError, match="尚未支持"):
        Settings(proof="oidc")  # type: ignore[arg-type]


def test_handing_a_step_on_asks_as_much_as_deciding_it_and_urging_nothing_but_from_a_shared_mailbox() -> None:
    assert asked_to_steer("reassign", "legality", None, "code") == "code"
    assert asked_to_steer("reassign", "draft", None, "code") == "none"
    assert asked_to_steer("reassign", "draft", "session", "none") == "session"  # the procedure's own word counts
    assert asked_to_steer("urge", "legality", "code", "code") == "none"
    assert asked_to_steer("urge", "draft", None, "none", shared=True) == "session"
