"""Commands about the office's data: load, law, items, people, calendar."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.common import (
    Out,
    Whole,
    day,
    named_path,
    nothing_loaded,
    readable,
    reading,
    say,
    say_json,
    settings,
    standing,
    warn,
    writable,
    write_document,
)

if TYPE_CHECKING:
    from models.domain.comparison import Comparison
    from models.domain.law_compare import ArticleMatch
    from models.domain.law_text import Article
    from models.intake.rows import Report

Json = Annotated[bool, typer.Option("--json", help="只输出 JSON")]
Full = Annotated[bool, typer.Option("--full", help="JSON 中另列更多内容")]
Paths = Annotated[list[Path], typer.Argument(parser=named_path, help="文件或者文件夹")]
_SHOWN = 20
_CHANGES = {
    "unchanged": "未改",
    "amended": "修改",
    "moved": "移条",
    "moved_and_amended": "移条并修改",
    "removed": "删除",
    "added": "新增条文",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("load")(load)
    for group, text, commands in (
        ("law", "法规库：导入、列表、引用、对照、影响。", (("import", law_import), ("list", law_list), ("cite", law_cite),
                                          ("diff", law_diff), ("table", law_table), ("witness", law_witness), ("impact", law_impact),
                                          ("rules", law_rules), ("switch", law_switch))),
        ("items", "事项目录：列表、检查。", (("list", items_list), ("check", items_check))),
        ("people", "人员。", (("list", people_list),)),
        ("calendar", "工作日：推算期限、载入节假日安排。", (("due", calendar_due), ("load", calendar_load))),
    ):  # fmt: skip
        part = typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)
        for name, command in commands:
            part.command(name)(command)
        app.add_typer(part, name=group)


# --- load ----------------------------------------------------------------------------------------------------------


def load(
    paths: Paths,
    kind: Annotated[str | None, typer.Option(help="items、people、departments 或者 laws；不写则按内容识别")] = None,
    replace_sample: Annotated[bool, typer.Option("--replace-sample", help="先清空示例数据")] = False,
    as_json: Json = False,
) -> None:
    """载入部门、人员、法规、事项；重复载入不会重复。Load departments, people, laws, items.

    \b
    退出码 0 全部载入，1 有行未导入，2 有文件不能使用。
    例 Example: shixiang load departments.csv people.csv items/ --json
    """
    _load(paths, kind, replace_sample, as_json)


def _load(paths: Sequence[Path], kind: str | None, replace_sample: bool, as_json: bool) -> None:
    from models import clock
    from models.actions.load import load as verb

    db = writable()
    try:
        loaded = verb(db, paths=paths, kind=kind, replace_sample=replace_sample, now=clock.now())
    finally:
        db.close()
    if as_json:
        say_json(loaded.as_json())
    for report in loaded.files:
        _tell(report, as_json)
    if loaded.publication and not as_json:
        say(f"发布批次 {loaded.publication}。")
    raise typer.Exit(loaded.exit_code)


def _tell(report: Report, as_json: bool) -> None:
    """The counts on stdout, the refusals (and without JSON some warnings) on stderr."""
    refusals = [problem for problem in report.problems if problem.level == "refusal"]
    for problem in refusals[:_SHOWN]:
        warn(problem.message if problem.row == 0 else f"{report.file} {problem.message}")
    if as_json or any(problem.row == 0 for problem in refusals):
        return  # of a file that could not be used there is nothing to count
    warnings = [problem for problem in report.problems if problem.level == "warning"]
    for problem in warnings[:_SHOWN]:
        warn(f"{report.file} {problem.message}")
    for word, found in (("未导入", refusals), ("提示", warnings)):
        if len(found) > _SHOWN:
            warn(f"{report.file} {word}另有 {len(found) - _SHOWN} 处，用 --json 查看全部。")
    say(
        f"{report.file}：{report.rows} 行，载入 {report.taken + report.warned} 行（需核对 {report.warned}），"
        f"未导入 {report.refused} 行；新增 {report.added}，变更 {report.changed}，未变 {report.unchanged}。"
    )


# --- law -----------------------------------------------------------------------------------------------------------


def law_import(
    paths: Paths,
    replace_sample: Annotated[bool, typer.Option("--replace-sample", help="先清空示例数据")] = False,
    as_json: Json = False,
) -> None:
    """导入法规文本（Markdown，文件名带文本日期）。Import texts of laws.

    \b
    例 Example: shixiang law import '保守国家秘密法(2024-02-27).md'
    """
    _load(paths, "laws", replace_sample, as_json)


def law_list(as_json: Json = False) -> None:
    """列出法规及其各次文本日期。List laws with the dates of their texts.

    \b
    例 Example: shixiang law list --json
    """
    from models.store import quick

    with reading() as read:
        found = quick.laws(read)
    if as_json:
        say_json(found)
        return
    for law in found:
        before = f"（原名{'、'.join(f'《{one}》' for one in law['formerly'])}）" if law["formerly"] else ""
        lacks = f"（缺 {'、'.join(law['missing'])} 的文本）" if law["missing"] else ""
        say(f"《{law['title']}》 {'、'.join(law['editions'])}{before}{lacks}")


def law_cite(
    file: Annotated[str, typer.Argument(metavar="FILE", help="文本文件，每行一段依据；- 表示标准输入")],
    as_json: Json = False,
    full: Full = False,
) -> None:
    """识别每行文字中引用的法规条款，并在法规库中查找。Read the citations in each line of a text.

    \b
    第一处引用之前没有识别的文字列为该行的 rest；--full 在 JSON 中另标明所引为旧名称（renamed）。
    例 Example: echo '《中华人民共和国食品安全法》第三十五条第一款' | shixiang law cite - --json
    """
    from models.domain.citation import citation_json, format_citation, read_citations
    from models.domain.law_titles import Library
    from models.store import quick

    lines = _lines(file)
    with reading() as read:
        known = quick.laws(read)
    library = Library((law["title"] for law in known), {law["title"]: law["formerly"] for law in known})
    for line in lines:
        understood = read_citations(line)
        if not as_json:
            for one in understood.citations:
                say(format_citation(one) + ("" if one.is_legal_basis else "（不是法律依据）"))
            continue
        found = []
        for one in understood.citations:
            resolved = library.resolve(one.full_title)
            marked = {"renamed": resolved.renamed} if full else {}
            found.append({**citation_json(one), "law": resolved.law, "candidates": list(resolved.candidates), **marked})
        before = {"rest": understood.rest} if understood.rest else {}
        print(json.dumps({"text": line, "citations": found, **before}, ensure_ascii=False))


def _lines(file: str) -> list[str]:
    """The lines of a text file or of the standard input. Raises Unusable file_unreadable."""
    text = _decoded(file)
    return text.removesuffix("\n").replace("\r\n", "\n").split("\n") if text else []


def _decoded(file: str) -> str:
    """A UTF-8 file, or the standard input for `-`. Raises Unusable file_unreadable."""
    from models.domain.errors import Unusable
    from models.domain.os_words import reason_of

    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        message = f"文件 {file or '（没有写明）'} 打不开：{reason_of(error)}。要识别一段文字，请用 - 从标准输入传入。"
        raise Unusable("file_unreadable", message, file=file) from error
    except UnicodeDecodeError as error:
        message = f"文件 {file} 第 {data[: error.start].count(10) + 1} 行不是 UTF-8 编码，请另存为 UTF-8 后再试。"
        raise Unusable("file_unreadable", message, file=file) from error
    if "\0" in text:
        raise Unusable("file_unreadable", f"文件 {file} 不是文本文件，请另存为 UTF-8 文本后再试。", file=file)
    if not text.strip() and file != "-":
        raise Unusable("file_unreadable", f"文件 {file} 是空的。", file=file)
    return text


def law_diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="旧文本：Markdown 文件，或者 法规名称@文本日期")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="新文本，写法相同")],
    as_json: Json = False,
    full: Full = False,
) -> None:
    """逐条对照一部法规的两次文本，并指出变动的种类。Compare two texts of a law, article by article.

    \b
    --full 在 JSON 中另列条号的“之”数、是否确定、说明问题的词句、所在章节。
    例 Example: shixiang law diff 保守国家秘密法@2010-04-29 保守国家秘密法@2024-02-27 --json
    """
    from models.domain.change_kinds import KINDS
    from models.domain.comparison import compare
    from models.domain.outside import one_line

    comparison = compare(_text_of(old), _text_of(new))
    if as_json:
        say_json([_full_row(comparison, match) if full else _row(comparison, match) for match in comparison.matches])
        return
    above: Sequence[str] = ()
    for match in comparison.matches:
        told = comparison.kind(match)
        here = match.new or match.old
        assert here is not None
        if here.division and here.division != above:
            say(one_line(" ".join(here.division)))
        above = here.division
        before, after = ("—" if one is None else _article(one.no, one.sub) for one in (match.old, match.new))
        mark = "" if match.certain else "（待人工核对）"
        kind = "" if told is None else f"：{KINDS[told.kind]}"
        say(f"{before} → {after}  {_CHANGES[match.change]}{kind}{mark}")


def _row(comparison: Comparison, match: ArticleMatch) -> dict[str, Any]:
    """A row of a comparison with the five keys that clients depend on."""
    from models.domain.numerals import article_written

    told = comparison.kind(match)
    return {
        "old_article": None if match.old is None else article_written(match.old.no, match.old.sub),
        "new_article": None if match.new is None else article_written(match.new.no, match.new.sub),
        "change": match.change,
        "kind": None if told is None else told.kind,
        "similarity": match.similarity,
    }


def _full_row(comparison: Comparison, match: ArticleMatch) -> dict[str, Any]:
    """The same with numbers and sub-numbers apart, certainty, the words that told the kind, and the headings."""
    told = comparison.kind(match)
    return {
        **_row(comparison, match),
        "old_article": None if match.old is None else match.old.no,
        "old_sub": None if match.old is None else match.old.sub or None,
        "new_article": None if match.new is None else match.new.no,
        "new_sub": None if match.new is None else match.new.sub or None,
        "certain": match.certain,
        "words": [] if told is None else [[place.old, place.new] for place in told.telling],
        "old_division": None if match.old is None else list(match.old.division),
        "new_division": None if match.new is None else list(match.new.division),
    }


def law_table(
    old: Annotated[str, typer.Argument(metavar="OLD", help="旧文本：Markdown 文件，或者 法规名称@文本日期")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="新文本，写法相同")],
    out: Out,
    whole: Whole = False,
) -> None:
    """两次文本的修改前后对照表（Word 文档）。Two texts of a law side by side, as a Word document.

    \b
    例 Example: shixiang law table 保守国家秘密法@2010-04-29 保守国家秘密法@2024-02-27 --out 对照表.docx
    """
    from models import clock
    from models.actions.law_table import as_document, table_of_texts

    (_, old_on, before), (title, new_on, after) = _named_text(old), _named_text(new)
    now = clock.now()
    table = table_of_texts(title, before, after, old_on=old_on, new_on=new_on, whole=whole, now=now)
    write_document(out, as_document(table, now=now))
    say(f"已写入 {out}：列出条文 {len(table.rows)} 条，未列入 {table.left_out} 条。")


def law_witness(
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="修改决定的文本文件；- 表示标准输入")],
    old: Annotated[str, typer.Argument(metavar="OLD", help="旧文本：Markdown 文件，或者 法规名称@文本日期")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="新文本，写法相同")],
    as_json: Json = False,
) -> None:
    """修改决定写明的改动与逐条对照是否一致。Whether an amending decision says what the comparison finds.

    \b
    例 Example: shixiang law witness 修改决定.md 食品安全法@2021-04-29 食品安全法@2025-09-12 --json
    """
    from models.domain.amending import as_json as told_as_json
    from models.domain.amending import read_decision, weigh
    from models.domain.comparison import compare

    said = read_decision(_decoded(decision))
    told = weigh(said, compare(_text_of(old), _text_of(new)))
    if as_json:
        say_json(told_as_json(said, told))
        return
    say(f"一致 {len(told.agreed)} 处，不一致 {len(told.differ)} 处，没有识别 {len(said.rest)} 处。")
    for one in told.differ:
        say(f"不一致：{one.detail}" + (f"（{one.said}）" if one.said else ""))
    for words in said.rest:
        say(f"没有识别：{words}")


def _text_of(named: str) -> Sequence[Article]:
    """The articles of a Markdown file or of a text of the library (TITLE@DATE)."""
    return _named_text(named)[2]


def _named_text(named: str) -> tuple[str, date | None, Sequence[Article]]:
    """Title, date and articles of a Markdown file or of a text of the library (TITLE@DATE)."""
    from models.actions.impact import known_edition, known_law
    from models.store import laws

    title, at, on = named.rpartition("@")
    if at and not Path(named).exists():
        db = readable() or nothing_loaded()
        try:
            with db.reader() as connection:
                law, edition = known_law(connection, title), day(on, "文本日期")
                known_edition(connection, law, edition)
                return law.title, edition, laws.articles(connection, law.id, edition)
        finally:
            db.close()
    from models.domain.law_text import read_law

    read = read_law(_decoded(named), Path(named).name)
    return read.title, read.edition_on, read.articles


def _article(number: int, sub: int) -> str:
    return f"第{number}条" + (f"之{sub}" if sub else "")


def law_impact(
    law: Annotated[
        str | None, typer.Argument(metavar="[LAW]", help="法规名称；不写，则为 --by 所废止的全部法规")
    ] = None,
    from_version: Annotated[str | None, typer.Option("--from", help="旧文本日期")] = None,
    to_version: Annotated[str | None, typer.Option("--to", help="新文本日期")] = None,
    repealed: Annotated[bool, typer.Option("--repealed", help="已废止，没有新文本")] = False,
    by: Annotated[str | None, typer.Option("--by", help="由哪部法规废止")] = None,
    as_json: Json = False,
    full: Full = False,
) -> None:
    """法规修改或者废止涉及哪些事项的哪些依据；不登记任何内容。Which bases of which items a law's change touches.

    \b
    不写 LAW，用 --repealed --by 写明一部法规的，一次列出它所废止的全部法规。
    --full 在 JSON 中另列事项的内部编号、依据的次序、条号的“之”数、所引条款范围的末条，以及所废止的法规。
    例 Example: shixiang law impact 保守国家秘密法 --from 2010-04-29 --to 2024-02-27 --json
    例 Example: shixiang law impact --repealed --by 民法典 --json
    """
    from models import clock
    from models.actions.impact import impact, impact_of_repeals
    from models.domain.errors import BadInput
    from models.domain.law_reach import LISTS

    if repealed == (to_version is not None):
        raise BadInput("field_invalid", "请写明新文本（--to 日期），或者写明已废止（--repealed）。", field="to")
    if by is not None and not repealed:
        raise BadInput("field_invalid", "“--by”写明由哪部法规废止，只与 --repealed 同用。", field="by")
    if law is None and not (repealed and by):
        message = "请写明法规名称；一部法规所废止的全部法规，用 --repealed --by 法规名称。"
        raise BadInput("field_invalid", message, field="law")
    if law is not None and from_version is None:
        raise BadInput("field_invalid", "请写明旧文本（--from 日期）。", field="from")
    old = None if from_version is None else day(from_version, "from")
    new = None if to_version is None else day(to_version, "to")
    db = readable() or nothing_loaded()
    gone: list[str] = []
    try:
        if law is None or old is None:
            gone, found = impact_of_repeals(db, by=by or "", now=clock.now())
        else:
            found = impact(db, law=law, from_edition=old, to_edition=new, by=by, now=clock.now())
    finally:
        db.close()
    if as_json:
        more = {"repealed": gone} if full else {}
        say_json({"law": law, "from": from_version, "to": to_version, **found.as_json(full=full), **more})
        return
    if gone:
        say(f"《{by}》废止 {len(gone)} 部：{'、'.join(f'《{title}》' for title in gone)}。")
    for name, heading in LISTS.items():
        rows = getattr(found, name)
        if rows:
            say(f"{heading}（{len(rows)}）：")
        for row in rows:
            say(f"  {row.item} {row.item_name}　{row.basis}：{row.reason}" + (f"（{row.gap}）" if row.gap else ""))


def law_rules(as_json: Json = False) -> None:
    """各条涉及规则的采用情况，以及是否停用。How often what each rule proposed was kept, altered or dropped.

    \b
    例 Example: shixiang law rules --json
    """
    from models.actions.rules import rules

    db = readable() or nothing_loaded()
    try:
        found = rules(db)
    finally:
        db.close()
    if as_json:
        say_json(found)
        return
    for rule in found:
        say(f"{rule['rule']}  {rule['name']}{'（已停用）' if rule['off'] else ''}  {_figures(rule)}")
        for kind in rule["kinds"]:
            if kind["kind"]:
                say(f"  {kind['name']}  {_figures(kind)}")


def _figures(row: Mapping[str, int]) -> str:
    return f"提出 {row['proposed']}，照办 {row['kept']}，改动 {row['altered']}，未采用 {row['dropped']}，在办 {row['open']}"


def law_switch(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="规则代码，见 shixiang law rules")],
    by: Annotated[str, typer.Option("--by", metavar="PERSON", help="统筹协调人：编号、邮箱或者不重名的姓名")],
    reason: Annotated[str, typer.Option("--reason", help="理由，记入机关日志，预览时列明")],
    off: Annotated[bool, typer.Option("--off/--on", help="停用或者启用")] = True,
) -> None:
    """停用或者启用一条涉及规则，自下一个变更起。Switch a rule off or on, from the next change on.

    \b
    例 Example: shixiang law switch whole_law --off --by 周敏 --reason 整部引用均已核对
    """
    from models import clock
    from models.actions.rules import switch_rule

    db = standing()
    try:
        switch_rule(db, rule=rule, off=off, by=by, reason=reason, now=clock.now())
    finally:
        db.close()
    say(f"规则 {rule} 已{'停用' if off else '启用'}。")


# --- items ---------------------------------------------------------------------------------------------------------


def items_list(
    department: Annotated[str | None, typer.Option(help="部门编号、全称或者简称")] = None,
    limit: Annotated[int | None, typer.Option(min=0, max=10_000_000, help="最多几项")] = None,
    as_json: Json = False,
) -> None:
    """列出现行事项目录。List the catalogue as it stands.

    \b
    例 Example: shixiang items list --department 市民政局 --limit 20 --json
    """
    from models.domain.errors import Unknown
    from models.store import quick

    with reading() as read:
        found = quick.items(read, department, limit)
        if not found and department is not None and not read.empty and not quick.knows_department(read, department):
            raise Unknown("department_unknown", f"没有名为“{department}”的部门。", name=department)
    if as_json:
        say_json(found)
        return
    for item in found:
        say(f"{item['code'] or '—'}  {item['name']}  {item['department']['name'] or '—'}")


def items_check(as_json: Json = False, full: Full = False) -> None:
    """检查现行目录：依据是否仍然有效、与现行条文一致、排列有序，编码是否有误。Check bases and codes of the catalogue.

    \b
    JSON 只列依据的问题；--full 另列编码有误（code）、没有依据（no_basis）的事项。
    退出码 0 没有问题，1 有问题。
    例 Example: shixiang items check --json
    """
    from models import clock
    from models.actions.impact import check
    from models.domain.codes import code_problems
    from models.store import quick

    with reading() as read:
        rows = quick.check(read)
    problems: list[dict[str, str | None]] = []
    for code, name, kind, _, bases in rows if full or not as_json else ():
        problems += [_problem(code or name, None, "code", f"{reason}。") for reason in code_problems(code or "")]
        if not bases and kind == "item":
            problems.append(_problem(code or name, None, "no_basis", f"事项“{name}”没有设定依据。"))
    db = readable()
    if db is not None:
        try:
            problems += [_problem(p.item, p.basis, p.problem, f"{p.detail}。") for p in check(db, now=clock.now())]
        finally:
            db.close()
    if as_json:
        say_json(problems)
    else:
        for problem in problems:
            say(f"{problem['item']}　{problem['basis'] or ''}：{problem['detail']}")
        say(f"共 {len(rows)} 项，发现 {len(problems)} 处问题。")
    raise typer.Exit(1 if problems else 0)


def _problem(item: str, basis: str | None, problem: str, detail: str) -> dict[str, str | None]:
    return {"item": item, "basis": basis, "problem": problem, "detail": detail}


# --- people --------------------------------------------------------------------------------------------------------


def people_list(as_json: Json = False) -> None:
    """列出人员、部门和岗位。List people with department and roles.

    \b
    例 Example: shixiang people list --json
    """
    from models.store import quick

    with reading() as read:
        found = quick.people(read)
    if as_json:
        say_json(found)
        return
    for person in found:
        department = (person["department"] or {}).get("name") or "—"
        say(f"{person['id']}  {person['name']}  {person['email'] or '—'}  {department}  {', '.join(person['roles'])}")


# --- calendar ------------------------------------------------------------------------------------------------------


def calendar_due(
    start: Annotated[str, typer.Argument(metavar="START", help="起算日，例如 2026-09-25；次一工作日为第 1 天")],
    days: Annotated[int, typer.Argument(metavar="N", help="工作日数")],
    as_json: Json = False,
) -> None:
    """推算 N 个工作日的期限。The due date after N working days.

    \b
    例 Example: shixiang calendar due 2026-09-25 5 --json
    """
    from models.domain.errors import BadInput
    from models.domain.requests import FIRST_YEAR, LAST_YEAR
    from models.reference.workdays import official_calendar
    from models.store import quick

    first = day(start, "START")
    if not FIRST_YEAR <= first.year <= LAST_YEAR:
        message = f"“START”应在 {FIRST_YEAR} 年至 {LAST_YEAR} 年之间，现为“{start}”。"
        raise BadInput("field_invalid", message, field="START")
    if not 1 <= days <= 5000:
        raise BadInput("field_invalid", f"“N”应为 1 至 5000 的整数，例如 5，现为“{days}”。", field="N")
    with reading() as read:
        loaded = quick.workdays(read)
    due, provisional = official_calendar(loaded).add_workdays(first, days)
    if as_json:
        say_json({"due": due.isoformat(), "provisional": provisional})
        return
    say(due.isoformat())
    if provisional:
        warn(f"{due.year}年节假日安排尚未公布，该时限为暂定；公布并载入后自动重算并通知办理人。")


def calendar_load(
    path: Annotated[Path, typer.Argument(metavar="FILE", parser=named_path, help="CSV 或者 JSON")],
    document: Annotated[str, typer.Option("--document", help="安排的文号，写入通知")] = "",
    as_json: Json = False,
) -> None:
    """载入节假日安排：date,workday 两列，1 为工作日；暂定的时限随即重算。Load an official arrangement of working days.

    \b
    例 Example: shixiang calendar load 2027.csv --document "国办发明电〔2026〕7号"
    """
    from models import clock
    from models.actions.deadlines import recompute_deadlines
    from models.actions.load import load_calendar

    db = writable()
    try:
        report = load_calendar(db, path=path)
        done = recompute_deadlines(
            db, document=document.strip(), now=clock.now(), collect_minutes=settings().collect_minutes
        )
    finally:
        db.close()
    if as_json:
        say_json({"files": [report.as_json()], "deadlines": asdict(done)})
    _tell(report, as_json)
    if done.steps and not as_json:
        say(f"重算时限 {done.steps} 件，其中 {done.moved} 件有变化，通知 {done.told} 人。")
    raise typer.Exit(1 if report.refused else 0)
