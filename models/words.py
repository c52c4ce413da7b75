"""What is shown to a person, in the language he reads.

The texts in the code are Chinese, and Chinese is what everybody gets unless the portal has called `speak` for a request.
Only what is shown at once may use `_` and `_n` (`models.actions.views`, the portal): what is kept or mailed is written by
the verbs, which know no language but Chinese.
"""

from __future__ import annotations

from contextvars import ContextVar
from gettext import NullTranslations
from typing import NamedTuple


class Language(NamedTuple):
    """The language somebody reads: its code and its catalogue."""

    code: str
    texts: NullTranslations


CHINESE = Language("zh", NullTranslations())
_spoken: ContextVar[Language] = ContextVar("spoken", default=CHINESE)


def speak(language: Language) -> None:
    """From here on this request is answered in `language`."""
    _spoken.set(language)


def spoken() -> str:
    """The code of the language that is spoken now: `zh` or `en`."""
    return _spoken.get().code


def _(text: str, /, **values: object) -> str:
    """The text in the language spoken now; `%(name)s` stands for a value."""
    return _filled(_spoken.get().texts.gettext(text), values)


def _n(text: str, n: int, /, **values: object) -> str:
    """The text with the number `%(n)s` in it, in the form the language has for that number."""
    return _filled(_spoken.get().texts.ngettext(text, text, n), {"n": n, **values})


def _p(context: str, text: str, /, **values: object) -> str:
    """A text that means something else elsewhere: looked up under `context`."""
    return _filled(_spoken.get().texts.pgettext(context, text), values)


def N_(text: str) -> str:
    """A text that is looked up later by `_`: marks it for the catalogue."""
    return text


def _filled(text: str, values: dict[str, object]) -> str:
    return text % values if values else text
