"""The language of a page: `?lang=`, else what the browser prefers, else Chinese.

No cookie remembers it: the address says it, so a page asked for with `?lang=` hands it on to what it links to.
"""

from __future__ import annotations

import re
from functools import cache
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, QueryParams
from starlette.types import Scope

from models.words import CHINESE, Language

LOCALE = Path(__file__).resolve().parent / "locale"
LANGUAGES = {"zh": "中文", "en": "English"}
_OWN_LINK = re.compile(r'(<(?:a|form)\b[^>]*? (?:href|action)=")(/(?!static/)[^"#]*|\?[^"#]*)([^"]*")')
_ASKING_FORM = re.compile(r'<form\b[^>]*method="get"[^>]*>')


def catalogue_path(code: str) -> Path:
    """Where the texts of a language lie."""
    return LOCALE / code / "LC_MESSAGES" / "portal.po"


@cache
def language(code: str) -> Language:
    """A language with its catalogue, read from the text file once per process."""
    from babel.messages.mofile import write_mo  # a fifth of a second that the interface's first request need not pay
    from babel.messages.pofile import read_po

    with catalogue_path(code).open("rb") as source:
        texts = read_po(source, locale=code)
    compiled = BytesIO()
    write_mo(compiled, texts)
    compiled.seek(0)
    return Language(code, GNUTranslations(compiled))


def asked_in_address(scope: Scope) -> str | None:
    """The code of the language the address itself names, or None."""
    code = QueryParams(scope.get("query_string", b"")).get("lang", "")
    return code if code in LANGUAGES else None


def wanted(scope: Scope) -> str:
    """The code of the language a request asks for."""
    return asked_in_address(scope) or _preferred(Headers(scope=scope).get("accept-language", ""))


def _preferred(header: str) -> str:
    """The first of our languages in the order of a browser's weights."""
    found = []
    for place, part in enumerate(header.split(",")):
        name, _, rest = part.strip().lower().partition(";")
        weight = re.fullmatch(r"\s*q=([01](?:\.\d{1,3})?)\s*", rest) if rest else None
        code, share = name.split("-")[0], float(weight[1]) if weight else 0.0 if rest else 1.0
        if code in LANGUAGES and share > 0:
            found.append((-share, place, code))
    return min(found)[2] if found else CHINESE.code


def with_language(address: str, code: str) -> str:
    """The same address in a language: `?lang=` set in its query. It stays one of ours: `//host` would be another's."""
    path, hash_, fragment = address.partition("#")
    path, _, query = path.partition("?")
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "lang"]
    return f"{path}?{urlencode([*pairs, ('lang', code)])}{hash_}{fragment}"


def handed_on(html: str, code: str) -> str:
    """A page whose own links and forms name the language its address named."""
    html = _OWN_LINK.sub(lambda found: found[1] + _own(found[2], code) + found[3], html)
    return _ASKING_FORM.sub(lambda m: f'{m[0]}<input type="hidden" name="lang" value="{code}">', html)


def _own(address: str, code: str) -> str:
    plain = address.replace("&amp;", "&")
    return address if "lang=" in plain else with_language(plain, code).replace("&", "&amp;")
