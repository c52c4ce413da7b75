"""The texts' catalogues agree with templates and code, and with one another."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from jinja2 import Environment, nodes

from models.domain.content import FIELDS
from models.domain.vocabulary import LOG_VERBS, STAGE_NAMES, STAGE_NAMES_EN, VERDICT_RECORD
from portal.language import LANGUAGES, catalogue_path
from portal.texts import KEYWORDS, REFUSALS, ROOT, kept, updated

CHINESE = re.compile(r"[\u3001-\u303f\u3400-\u9fff\uff01-\uff0e\uff10-\uff5e]")
#: Written for the operators' page in Prefect, which is Chinese alone.
FOR_OPERATORS = re.compile(r"status_page|_run_name|_description|_md_\w+|md")
#: Chinese that is no text: a language's own name, content that is stored or compared, words of a table.
NO_TEXT = {
    "language.py": {"中文"},
    "pages.py": {"、"},
    "starting.py": {"《", "》", "《》", "年文本", "废止"},
    "texts.py": {"办理"},
    "views.py": {"《》", "示例市", "暂存", "发布", "撤回", "确认范围", "移出", "退回", "废止", "删除"},
}


def entries(code: str) -> list[Message]:
    """The texts of a catalogue, its head left out."""
    return [message for message in kept(code) if message.id]


def forms(message: Message) -> list[str]:
    """What a text is in its language, for one and for many."""
    return [message.string] if isinstance(message.string, str) else list(message.string or [""])


def text_of(message: Message) -> str:
    """The text as the code says it."""
    return str(message.id if isinstance(message.id, str) else message.id[0])


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_catalogue_holds_every_text_that_is_said_and_no_other(code: str) -> None:
    found, wanted = catalogue_path(code).read_text(encoding="utf-8"), updated(code).decode()
    differ = "\n".join(unified_diff(found.splitlines(), wanted.splitlines(), lineterm="", n=0))
    assert not differ, f"run `make texts`, then write the English of what is new (docs/developer.md, Texts):\n{differ}"


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_text_is_without_a_translation_or_with_a_doubtful_one(code: str) -> None:
    assert [text_of(m) for m in entries(code) if m.fuzzy or not all(forms(m))] == []


def test_the_chinese_catalogue_says_what_the_code_says() -> None:
    assert [text_of(m) for m in entries("zh") if forms(m) != [text_of(m)]] == []


def test_both_languages_hold_the_same_values_and_the_same_marks() -> None:
    held = re.compile(r"%\((\w+)\)s|(<[^>]*>)")
    for message in entries("en"):
        wanted = sorted(held.findall(text_of(message)))
        for number, form in enumerate(forms(message)):
            got = sorted(held.findall(form))
            if isinstance(message.id, tuple) and number == 0:  # "the one there is" need not say 1
                got, wanted_now = [g for g in got if g[0] != "n"], [w for w in wanted if w[0] != "n"]
            else:
                wanted_now = wanted
            assert got == wanted_now, form


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_text_cannot_break_out_of_an_attribute(code: str) -> None:
    plain = [form for message in entries(code) for form in forms(message) if "<" not in form]
    assert [form for form in plain if '"' in form or "&" in form or ">" in form] == []


def test_no_chinese_stands_in_a_template_outside_its_texts() -> None:
    found = []
    for path in sorted((ROOT / "portal" / "templates").glob("*.html")):
        tree = Environment().parse(path.read_text(encoding="utf-8"))
        found += [f"{path.name}:{line} {text.strip()[:40]}" for line, text in _unmarked(tree) if CHINESE.search(text)]
    assert found == [], "\n".join(found)


def _unmarked(node: nodes.Node) -> Iterator[tuple[int, str]]:
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in KEYWORDS:
        for value in [*node.args, *(pair.value for pair in node.kwargs)]:
            if not isinstance(value, nodes.Const):
                yield from _unmarked(value)
        return
    if isinstance(node, nodes.TemplateData):
        yield node.lineno, node.data
    elif isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.lineno, node.value
    for child in node.iter_child_nodes():
        yield from _unmarked(child)


def test_no_chinese_stands_in_the_code_of_pages_outside_texts_and_refusals() -> None:
    found = []
    for path in [*sorted((ROOT / "portal").glob("*.py")), ROOT / "models" / "actions" / "views.py"]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        known = _explained(tree) | _tables(tree)
        found += [
            f"{path.name}:{node.lineno} {node.value[:40]}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CHINESE.search(node.value)
            if id(node) not in known and node.value not in NO_TEXT.get(path.name, ())
        ]
    assert found == [], "\n".join(found)


def _explained(tree: ast.AST) -> set[int]:
    """Strings that are documentation, texts, refusals or the operators' page."""
    calls = {*KEYWORDS, *REFUSALS}
    known: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in calls:
                known |= {id(inner) for inner in ast.walk(node)}
        elif isinstance(node, ast.FunctionDef) and FOR_OPERATORS.fullmatch(node.name):
            known |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            known |= {id(inner) for inner in ast.walk(node.body[0]) if isinstance(node.body[0], ast.Expr)}
    return known


def _tables(tree: ast.AST) -> set[int]:
    """Tables whose words `portal.texts` reads itself."""
    known: set[int] = set()
    for node in ast.walk(tree):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id in ("GUIDE_ORDER", "RUN_STAGE") for target in targets):
            known |= {id(inner) for inner in ast.walk(node)}
    return known


def test_the_log_uses_no_verb_that_is_not_in_its_table() -> None:
    verbs: set[str] = set()
    for path in sorted((ROOT / "models" / "actions").glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "log" and call.args:
                verbs |= {str(n.value) for n in ast.walk(call.args[0]) if isinstance(n, ast.Constant)}
    said = {verb for verb in verbs if CHINESE.search(verb)}
    assert said <= {*LOG_VERBS, *VERDICT_RECORD.values()}
    assert set(LOG_VERBS) <= said


def test_fields_and_stages_are_called_the_same_in_english_wherever_they_appear() -> None:
    english = {(m.context, text_of(m)): forms(m)[0] for m in entries("en")}
    assert [f.name for f in FIELDS if english[None, f.label_zh] != f.label_en] == []
    assert [s for s, name in STAGE_NAMES.items() if english[None, name].lower() != STAGE_NAMES_EN[s]] == []


def test_catalogues_lie_where_a_stranger_looks() -> None:
    assert {path.relative_to(ROOT).as_posix() for path in Path(ROOT).glob("portal/locale/*/LC_MESSAGES/*")} == {
        "portal/locale/en/LC_MESSAGES/portal.po",
        "portal/locale/zh/LC_MESSAGES/portal.po",
    }
