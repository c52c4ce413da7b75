"""The texts' catalogues: found in templates and code, kept in `portal/locale/*/LC_MESSAGES/portal.po`.

`make texts` (`python -m portal.texts`) brings the catalogues up to date: a new text is added, one that nobody says any
more is dropped. The Chinese entry of a text is the text itself until an office words it otherwise there; the English one
is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from models.actions.views import GUIDE_ORDER
from models.domain.change_kinds import KINDS
from models.domain.content import FIELDS, ITEM_TYPES, UNITS
from models.domain.law_reach import LISTS, RULES
from models.domain.reach import CHANGE_WORDS
from models.domain.vocabulary import LOG_VERBS, STAGE_NAMES, STAGE_VERB, VERDICT_RECORD
from portal.language import LANGUAGES, catalogue_path

ROOT = Path(__file__).resolve().parent.parent
#: Which argument of a marking function is the text: babel's notation, `_n` says its text once for both forms.
KEYWORDS = {"_": None, "N_": None, "_n": (1, 1), "_p": ((1, "c"), 2)}
#: A refusal's code is looked up for its meaning in other languages.
REFUSALS = dict.fromkeys(
    (
        "Refusal",
        "BadInput",
        "Unknown",
        "Conflict",
        "Forbidden",
        "ProofNeeded",
        "Gone",
        "Unusable",
        "SignInFirst",
        "__init__",
    )
)
Text = str | tuple[str, ...]


def said() -> Iterator[tuple[str, Text, str | None]]:
    """Every text with the file that says it and its context."""
    for path in [
        *_files("portal/templates", "*.html"),
        *_files("portal", "*.py"),
        *_files("models/actions", "views.py"),
    ]:
        method = "jinja2.ext:babel_extract" if path.suffix == ".html" else "python"
        for _, text, _, context in extract_from_file(method, path, KEYWORDS, options={"encoding": "utf-8"}):
            yield _name(path), text, context
    yield from _tables()
    yield from (("models/domain/errors.py", code, "refusal") for code in sorted(_refusals()))


def _refusals() -> set[str]:
    """The codes of everything the office refuses, wherever it does."""
    paths = [path for folder in ("models", "notifications", "portal") for path in _files(folder, "**/*.py")]
    return {str(found[1]) for path in paths for found in extract_from_file("python", path, REFUSALS)}


def _tables() -> Iterator[tuple[str, str, str | None]]:
    """Words that pages take from tables of the trade."""
    for info in FIELDS:
        yield "models/domain/content.py", info.label_zh, None
        yield "models/domain/content.py", info.help, None
    yield from (("models/domain/content.py", name, None) for name in (*ITEM_TYPES.values(), *UNITS))
    yield from (("models/domain/vocabulary.py", name, None) for name in STAGE_NAMES.values())
    yield from (("models/domain/vocabulary.py", verb, "verb") for verb in (*STAGE_VERB.values(), "办理"))
    yield from (("models/domain/vocabulary.py", verb, "log") for verb in (*LOG_VERBS, *VERDICT_RECORD.values()))
    yield from (("models/domain/reach.py", word, None) for word in CHANGE_WORDS.values())
    yield from (("models/domain/law_reach.py", name, "rule") for name in RULES.values())
    yield from (("models/domain/law_reach.py", name, "list") for name in LISTS.values())
    yield from (("models/domain/change_kinds.py", name, "kind") for name in KINDS.values())
    yield from (("models/actions/views.py", title, None) for title, _ in GUIDE_ORDER)


def _files(folder: str, pattern: str) -> list[Path]:
    return sorted((ROOT / folder).glob(pattern))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def template(code: str) -> Catalog:
    """All texts a language has to say, without any translation. A refusal's own sentence is Chinese already."""
    found = Catalog(fuzzy=False)
    for where, text, context in said():
        if not (code == "zh" and context == "refusal"):
            found.add(text, locations=[(where, 0)], context=context)
    return found


def kept(code: str) -> Catalog:
    """The catalogue of a language as it lies in its file."""
    with catalogue_path(code).open("rb") as source:
        return read_po(source, locale=code)


def updated(code: str) -> bytes:
    """The file of a language's catalogue as it should be: today's texts with the translations it has."""
    path = catalogue_path(code)
    catalogue = kept(code) if path.exists() else Catalog(locale=code)
    catalogue.project, catalogue.version, catalogue.fuzzy = "shixiang", "1", False
    catalogue.last_translator, catalogue.language_team = "the project", "the project"
    catalogue.msgid_bugs_address = "the project"
    catalogue.header_comment = f"# {LANGUAGES[code]}: what the pages say. See docs/developer.md."
    # No moment of writing: a file that changes only with its texts is merged without a quarrel.
    catalogue.creation_date = catalogue.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    catalogue.update(template(code), no_fuzzy_matching=True, update_creation_date=False)
    if code == "zh":
        for message in catalogue:
            if message.id and not any(message.string or ()):
                message.string = message.id if isinstance(message.id, str) else message.id[:1]
    written = BytesIO()
    write_po(written, catalogue, width=0, sort_by_file=True, ignore_obsolete=True)
    return written.getvalue()


def main() -> None:
    """Write the catalogues."""
    for code in LANGUAGES:
        path = catalogue_path(code)
        text = updated(code)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        missing = sum(1 for message in kept(code) if message.id and not all(message.string or ("",)))
        print(f"{_name(path)}: {len(kept(code))} texts, {missing} without a translation")


if __name__ == "__main__":
    main()
