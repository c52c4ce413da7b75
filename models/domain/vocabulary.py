"""The words of the trade: fixed code names, and what people read for each.

Labels are those of the wording table. Chinese is what the pages say; English stands beside it for the catalogue.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Label(NamedTuple):
    """One thing's names: short for tables, long where it differs, English. `label[0]` is the short one."""

    short: str
    long: str
    en: str


class Trigger(StrEnum):
    """Why a change begins."""

    LAW_CHANGE = "law_change"
    REFORM = "reform"
    SUPERIOR_LIST_CHANGE = "superior_list_change"
    INSTITUTIONAL_REFORM = "institutional_reform"
    AGENCY_REQUEST = "agency_request"


class Outcome(StrEnum):
    """What becomes of an item."""

    ADD = "add"
    CANCEL = "cancel"
    SUSPEND = "suspend"
    RESUME = "resume"
    RENAME = "rename"
    RETYPE = "retype"
    SPLIT = "split"
    MERGE = "merge"
    CHANGE_DEPARTMENT = "change_department"
    CHANGE_ORGAN = "change_organ"
    CHANGE_BASIS = "change_basis"
    CHANGE_GUIDE = "change_guide"
    DELEGATE = "delegate"
    TAKE_OVER = "take_over"
    RECODE = "recode"


class Stage(StrEnum):
    """The stages a procedure may have, in the order they follow one another."""

    SCOPE = "scope"
    DRAFT = "draft"
    FORM = "form"
    COUNTERSIGN = "countersign"
    LEGALITY = "legality"
    LIST = "list"
    NAMING = "naming"
    APPROVAL = "approval"
    CODING = "coding"
    PUBLISHING = "publishing"
    CONNECTING = "connecting"


class Role(StrEnum):
    """Who sits at a stage, and who looks on."""

    COORDINATOR = "coordinator"
    DRAFTER = "drafter"
    COUNTERSIGNER = "countersigner"
    LEGALITY_REVIEWER = "legality_reviewer"
    LIST_REVIEWER = "list_reviewer"
    NAMING_REVIEWER = "naming_reviewer"
    APPROVER = "approver"
    ENGINE = "engine"
    CONNECTION_OWNER = "connection_owner"
    OPERATOR = "operator"
    EVALUATOR = "evaluator"


class Verdict(StrEnum):
    """What a person may say."""

    SAVE = "save"
    SUBMIT = "submit"
    DECLINE = "decline"
    PASS = "pass"
    RETURN = "return"
    OBJECT = "object"
    APPROVE = "approve"
    APPROVE_CHANGED = "approve_changed"
    REJECT = "reject"
    CONFIRM = "confirm"
    TAKE_OUT = "take_out"
    NO_ADJUSTMENT = "no_adjustment"
    RAISE = "raise"


class Rung(StrEnum):
    """The ladder of a late step. T is the first working day after the due day.

    `SILENCE` is the moment `on_silence` takes effect: the fifth working day after the due day.
    """

    REMIND = "T-2"
    SUPERIOR = "T+0"
    SUPERVISE = "T+3"
    SILENCE = "silence"


TRIGGER_NAMES: dict[str, Label] = {
    "law_change": Label("立改废释", "法律法规规章立改废释", "law change"),
    "reform": Label("审批改革", "行政审批制度改革", "reform"),
    "superior_list_change": Label("上级清单", "上级清单调整", "superior list change"),
    "institutional_reform": Label("机构改革", "机构职能调整", "institutional reform"),
    "agency_request": Label("部门申请", "主管部门（实施机关）申请", "agency request"),
}

OUTCOME_NAMES: dict[str, Label] = {
    "add": Label("新增", "事项新增", "add"),
    "cancel": Label("取消", "事项取消", "cancel"),
    "suspend": Label("暂停", "事项暂停", "suspend"),
    "resume": Label("恢复", "恢复实施", "resume"),
    "rename": Label("名称变更", "事项名称变更", "rename"),
    "retype": Label("类型变更", "事项类型变更", "change of type"),
    "split": Label("拆分", "主子项拆分", "split"),
    "merge": Label("合并", "主子项合并", "merge"),
    "change_department": Label("主管变更", "主管部门变更", "change of department"),
    "change_organ": Label("机关变更", "实施机关变更", "change of organ"),
    "change_basis": Label("依据变更", "设定依据变更", "change of basis"),
    "change_guide": Label("指南调整", "办事指南要素调整", "guide change"),
    "delegate": Label("下放", "下放（委托）实施", "delegation"),
    "take_over": Label("承接", "承接（收回）实施", "take-over"),
    "recode": Label("重新赋码", "事项重新赋码", "recoding"),
}

#: Procedures that no outcome names.
PROCEDURE_NAMES: dict[str, Label] = {
    "editorial": Label("简易流程", "文字、条序调整简易流程", "short procedure"),
}

#: The eight kinds of adjustment of 《政务服务事项管理规范》（征求意见稿）and our outcomes for each.
STANDARD_OUTCOMES: dict[str, tuple[str, ...]] = {
    "名称变更": ("rename",),
    "类型变更": ("retype",),
    "主子项拆分或合并": ("split", "merge"),
    "主管部门或实施机关变更": ("change_department", "change_organ", "delegate", "take_over"),
    "设定依据变更": ("change_basis",),
    "新增": ("add",),
    "取消": ("cancel",),
    "暂停": ("suspend", "resume"),
}

STAGE_NAMES: dict[str, str] = {
    "scope": "确认范围",
    "draft": "起草",
    "form": "形式核验",
    "countersign": "会签",
    "legality": "合法性审查",
    "list": "权责清单审核",
    "naming": "名称核定",
    "approval": "审批",
    "coding": "赋码定版",
    "publishing": "发布",
    "connecting": "接入",
}

STAGE_NAMES_EN: dict[str, str] = {
    "scope": "scope",
    "draft": "drafting",
    "form": "form check",
    "countersign": "countersigning",
    "legality": "legality review",
    "list": "list review",
    "naming": "naming",
    "approval": "approval",
    "coding": "coding",
    "publishing": "publishing",
    "connecting": "connecting",
}

#: Two characters, in run names and tags; the parallel pair of reviews is one word.
STAGE_SHORT: dict[str, str] = {
    "scope": "范围",
    "draft": "起草",
    "form": "核验",
    "countersign": "会签",
    "legality": "审核",
    "list": "审核",
    "naming": "核定",
    "approval": "审批",
    "coding": "赋码",
    "publishing": "发布",
    "connecting": "接入",
}

#: The verb in subjects: 核验 form, 审查 law, 审核 list, 核定 name, 审批 decide. The engine's own stages ask nobody.
STAGE_VERB: dict[str, str] = {
    "scope": "确认范围",
    "draft": "起草",
    "form": "核验",
    "countersign": "会签",
    "legality": "审查",
    "list": "审核",
    "naming": "核定名称",
    "approval": "审批",
    "connecting": "接入",
}

ROLE_NAMES: dict[str, Label] = {
    "coordinator": Label("统筹", "统筹协调人（政务服务事项管理部门）", "coordinator"),
    "drafter": Label("起草", "起草人（主管部门、实施机关）", "drafter"),
    "countersigner": Label("会签", "会签人（涉及的部门、实施机关）", "countersigner"),
    "legality_reviewer": Label("合法审查", "合法性审查人员（司法行政部门）", "legality reviewer"),
    "list_reviewer": Label("清单审核", "权责清单审核人员（权责清单管理部门）", "list reviewer"),
    "naming_reviewer": Label("名称核定", "名称核定人员（权责清单、事项管理两家）", "naming reviewer"),
    "approver": Label("审批", "审批人", "approver"),
    "engine": Label("系统", "系统自动办理", "system"),
    "connection_owner": Label("接入", "接入负责人（大数据中心、业务系统）", "connection owner"),
    "operator": Label("运维", "运维人员", "operator"),
    "evaluator": Label("评估", "评估人员", "evaluator"),
}

#: On the button; "…" means a reason follows.
VERDICT_BUTTON: dict[str, str] = {
    "save": "暂存",
    "submit": "提交",
    "decline": "不予调整…",
    "pass": "通过",
    "return": "退回…",
    "object": "保留意见…",
    "approve": "同意",
    "approve_changed": "修改后同意…",
    "reject": "不同意…",
    "confirm": "确认范围",
    "take_out": "移出…",
    "no_adjustment": "不调整…",
    "raise": "转普通流程…",
}

VERDICT_RECORD: dict[str, str] = {
    "save": "暂存",
    "submit": "提交",
    "decline": "提出不予调整",
    "pass": "通过",
    "return": "退回补正",
    "object": "同意，附保留意见",
    "approve": "同意",
    "approve_changed": "原则同意，退回修改",
    "reject": "不予批准",
    "confirm": "确认范围",
    "take_out": "移出",
    "no_adjustment": "不调整",
    "raise": "转普通流程",
}

VERDICT_EN: dict[str, str] = {
    "save": "save",
    "submit": "submit",
    "decline": "decline",
    "pass": "pass",
    "return": "return",
    "object": "pass with objection",
    "approve": "approve",
    "approve_changed": "approve with changes",
    "reject": "reject",
    "confirm": "confirm",
    "take_out": "take out",
    "no_adjustment": "no adjustment",
    "raise": "full procedure",
}

VERDICT_RECORD_EN: dict[str, str] = {
    "save": "saved",
    "submit": "submitted",
    "decline": "proposed to leave as it is",
    "pass": "passed",
    "return": "returned for correction",
    "object": "passed with objection",
    "approve": "approved",
    "approve_changed": "approved in principle, returned for changes",
    "reject": "rejected",
    "confirm": "scope confirmed",
    "take_out": "taken out",
    "no_adjustment": "no adjustment needed",
    "raise": "sent to the full procedure",
}

#: What the log calls what was done, besides the verdicts: read by people, never changed in an old line.
LOG_VERBS: tuple[str, ...] = (
    "登记",
    "梳理",
    "分单",
    "打开",
    "移出",
    "撤回",
    "转交",
    "催办",
    "人员变动",
    "离任转交",
    "退回",
    "转普通流程",
    "环节结束",
    "审批通过",
    "赋码",
    "发布",
    "续办",
    "唤醒",
    "处理异常",
    "重试",
    "重新发送",
    "重算时限",
    "到期提醒",
    "逾期",
    "办结",
)

RUNG_NAMES: dict[str, Label] = {
    "T-2": Label("到期提醒", "到期提醒", "reminder"),
    "T+0": Label("逾期告知", "逾期告知（上一级负责人）", "told the superior"),
    "T+3": Label("督办", "督办", "supervision"),
    "silence": Label("再次提醒", "再次提醒", "reminded again"),
}

#: 核验: how whoever decides has shown who he is.
PROOF_NAMES: dict[str, Label] = {
    "none": Label("无", "无", "none"),
    "session": Label("登录", "登录", "signed in"),
    "code": Label("验证码", "验证码", "code"),
    "oidc": Label("统一认证", "统一认证", "single sign-on"),
}

STATE_NAMES: dict[str, dict[str, Label]] = {
    "change": {
        "registered": Label("已登记", "已登记", "registered"),
        "assessing": Label("梳理中", "正在梳理涉及事项", "assessing"),
        "scoping": Label("待定范围", "待确认范围", "scope to confirm"),
        "running": Label("办理中", "办理中", "in progress"),
        "closing": Label("待回执", "已发布，等待接入回执", "awaiting receipts"),
        "closed": Label("已办结", "已办结", "closed"),
        "withdrawn": Label("已撤回", "已撤回", "withdrawn"),
    },
    "adjustment": {
        "proposed": Label("待确认", "待确认", "proposed"),
        "drafting": Label("起草中", "起草中", "drafting"),
        "in_review": Label("审核中", "审核中", "in review"),
        "approved": Label("已通过", "已通过", "approved"),
        "scheduled": Label("待生效", "待生效", "scheduled"),
        "blocked": Label("发布受阻", "发布受阻", "blocked"),
        "published": Label("已发布", "已发布", "published"),
        "declined": Label("不予调整", "不予调整", "declined"),
        "rejected": Label("不予批准", "不予批准", "rejected"),
        "removed": Label("已移出", "已移出", "removed"),
    },
    "sheet": {
        "open": Label("办理中", "办理中", "open"),
        "waiting": Label("待发布", "待发布", "waiting to publish"),
        "done": Label("已办结", "已办结", "done"),
        "dissolved": Label("已转出", "全部事项已转出", "dissolved"),
    },
    "step": {
        "open": Label("办理中", "办理中", "open"),
        "stopped": Label("停止计时", "停止计时", "clock stopped"),
        "passed": Label("已通过", "已通过", "passed"),
        "returned": Label("已退回", "退回补正", "returned"),
        "superseded": Label("已失效", "已由新一轮代替", "superseded"),
        "withdrawn": Label("已撤回", "已撤回", "withdrawn"),
        "passed_by_silence": Label("视为同意", "逾期未反馈，视为同意", "deemed consent"),
    },
    "assignment": {
        "queued": Label("待签收", "待签收", "unclaimed"),
        "open": Label("待办", "待办", "open"),
        "decided": Label("已办", "已办", "decided"),
        "moved": Label("已转交", "已转交", "reassigned"),
        "released": Label("无需办理", "已由他人办理", "released"),
        "dropped": Label("已减签", "已减签", "dropped"),
        "superseded": Label("已失效", "已失效", "superseded"),
        "withdrawn": Label("已撤回", "已撤回", "withdrawn"),
    },
    "notice": {
        "queued": Label("待发送", "待发送", "queued"),
        "held": Label("合并待发", "合并待发", "held"),
        "sending": Label("发送中", "发送中", "sending"),
        "retrying": Label("重试中", "重试中", "retrying"),
        "doubtful": Label("送达不明", "送达不明", "doubtful"),
        "sent": Label("已发送", "已发送", "sent"),
        "undeliverable": Label("无法送达", "无法送达", "undeliverable"),
        "cancelled": Label("不再发送", "不再发送", "no longer needed"),
    },
    "link": {
        "active": Label("有效", "有效", "active"),
        "expired": Label("已过期", "已过期", "expired"),
        "revoked": Label("已停用", "已停用", "revoked"),
        "spent": Label("已使用", "已使用", "used"),
    },
    "publication": {
        "planned": Label("已排定", "已排定", "planned"),
        "due": Label("待发布", "待发布", "due"),
        "published": Label("已发布", "已发布", "published"),
        "empty": Label("未发布", "全部受阻", "nothing published"),
        "issued": Label("清单已出", "清单已出", "lists issued"),
        "linked": Label("已下发", "接入任务已下发", "access tasks sent"),
        "recalled": Label("已撤回", "已撤回", "recalled"),
    },
}

#: A sheet that raised: a mark beside its state, not a state.
STUCK_NAME = Label("异常", "处理异常，系统自动重试", "stuck")
