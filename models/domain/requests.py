"""What a trigger is started with: the parameters of a change, the same for portal, CLI, API and Prefect's run form.

Titles and descriptions are what the run form shows. Only plain strings, dates and lists: Prefect evaluates
objects with `__prefect_kind` on its server.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from models.domain.errors import BadInput
from models.domain.outside import check_storable


def _drop_default(schema: dict[str, Any]) -> None:
    """Empty means left out: the form then draws a plain field instead of tabs."""
    schema.pop("default", None)


def _within_reach(value: date) -> date:
    """A slip of the hand in the year; moments of such days fit no calendar and no column."""
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise PydanticCustomError("date_out_of_reach", "a year of no office")
    return value


#: Days beyond these are slips of the hand.
FIRST_YEAR, LAST_YEAR = 1900, 2999
Day = Annotated[date, AfterValidator(_within_reach)]
OptionalDate = Annotated[Day | SkipJsonSchema[None], Field(json_schema_extra=_drop_default)]


class TakenOut(BaseModel):
    """A row of the reach that is not to be part of the change, by the item's code or id; the scope step confirms it."""

    model_config = ConfigDict(extra="forbid")
    item: str = Field(min_length=1, max_length=64)
    reason: str = Field(min_length=1, max_length=2000)


class LawChange(BaseModel):
    """A law was amended, newly made or repealed."""

    model_config = ConfigDict(title="法律修订", extra="forbid")

    title: str = Field(title="变更名称", description="写给办事人员看的一句话", min_length=2, max_length=120)
    law: str = Field(title="法规名称", description="与法规库中的名称一致", min_length=2, max_length=200)
    from_version: Day = Field(title="旧文本（公布日期）")
    to_version: OptionalDate = Field(default=None, title="新文本（公布日期）", description="留空表示废止")
    effective_on: OptionalDate = Field(default=None, title="生效日期", description="留空表示审批后随即生效")
    reason: str = Field(default="", title="理由", max_length=2000)
    #: Not in the run's form: rows are seen in the preview.
    take_out: SkipJsonSchema[list[TakenOut]] = Field(default_factory=list, max_length=20_000)

    def stored(self) -> dict[str, Any]:
        """The parameters as they are kept; without `take_out` where there is none, as before there was one."""
        found = self.model_dump(mode="json", by_alias=True)
        if not self.take_out:
            found.pop("take_out")
        return found


class Target(BaseModel):
    """One item by its kind and code."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["item", "implementation", "handling"] = "item"
    code: str = Field(title="事项编码", min_length=1, max_length=64)


class ItemRequest(BaseModel):
    """What is asked for one item. `set` holds the fields that change, as in the list of fields."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    target: Target | None = None
    outcomes: list[str] = Field(min_length=1, max_length=4)
    set: dict[str, Any] = Field(default_factory=dict)
    until: Day | None = None
    into: list[dict[str, Any]] = Field(default_factory=list)
    from_: list[dict[str, Any]] = Field(default_factory=list, alias="from")


class AgencyRequest(BaseModel):
    """A department asks for changes of given items."""

    model_config = ConfigDict(extra="forbid")
    title: str = Field(min_length=2, max_length=120)
    reason: str = Field(default="", max_length=2000)
    effective_on: Day | None = None
    items: list[ItemRequest] = Field(min_length=1, max_length=5000)

    def stored(self) -> dict[str, Any]:
        """The parameters as they are kept."""
        return self.model_dump(mode="json", by_alias=True)


_SHAPES = {
    "string_type": "应为文字，例如 食品经营许可",
    "list_type": "应为列表，例如 []",
    "dict_type": "应为对象，例如 {}",
    "model_type": "应为对象，例如 {}",
    "model_attributes_type": "应为对象，例如 {}",
    "too_short": "至少要有一项",
    "too_long": "项数太多",
}
REQUESTS: dict[str, type[BaseModel]] = {"law_change": LawChange, "agency_request": AgencyRequest}


def read_request(trigger: str, params: dict[str, Any]) -> LawChange | AgencyRequest:
    """The parameters of a trigger, checked; `BadInput field_invalid` names the field."""
    model = REQUESTS.get(trigger)
    if model is None:
        raise BadInput("trigger_unknown", f"没有名为“{trigger}”的事由，可用：{'、'.join(REQUESTS)}。")
    check_storable(params)
    try:
        return model.model_validate(params)  # type: ignore[return-value]
    except ValidationError as error:
        first = error.errors()[0]
        # Of a date that may be left out pydantic names the kind as well; no field of ours is called so.
        named = [str(part) for part in first["loc"] if not str(part).startswith(("date", "function-after"))]
        field = ".".join(named) or "params"
        if first["type"] == "missing":
            raise BadInput("field_missing", f"“{field}”未填写。", field=field) from error
        raise BadInput("field_invalid", f"“{field}”{_expected(first)}。", field=field) from error


def _expected(fault: ErrorDetails) -> str:
    """What a value should have been, in a clerk's words; `fault` is one of pydantic's."""
    kind, facts = fault["type"], fault.get("ctx", {})
    if kind == "string_too_long":
        return f"最多 {facts['max_length']} 字，现为 {len(str(fault['input']))} 字"
    if kind == "string_too_short":
        return f"至少 {facts['min_length']} 字" if fault["input"] else "未填写"
    if kind == "date_out_of_reach":
        return f"应在 {FIRST_YEAR} 年至 {LAST_YEAR} 年之间，现为 {fault['input']}"
    if kind.startswith("date"):
        return "应为日期，例如 2026-12-08"
    if kind == "literal_error":
        return f"应为 {facts['expected'].replace(' or ', ' 或者 ')}"
    if kind == "extra_forbidden":
        return "不是这里的字段"
    return _SHAPES.get(kind, "不能这样填写")
