"""What the page says, in German and English: the catalogues, and numbers and times as people write them.

The sentences are in ``de.toml`` and ``en.toml`` beside this file. Numbers, percentages, dates and clock times are
Babel's; in the browser ``Intl`` writes them, from the same CLDR data.
"""

import tomllib
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import Any, TypeAlias

from babel import Locale
from babel.dates import format_date, format_time, get_timezone_gmt, get_timezone_name
from babel.numbers import format_decimal, format_percent

LANGUAGES = ("de", "en")
_REGION = {"de": "de_DE", "en": "en_GB"}
FOR_BROWSER = frozenset({"live", "chart", "status", "state"})
_PLURALS = frozenset({"one", "other"})

Entry: TypeAlias = str | Mapping[str, str]


class Catalogue:
    """One language. Called with a key it gives the sentence, its {words} filled in."""

    def __init__(self, language: str, entries: Mapping[str, Entry]) -> None:
        self.language = language
        self.locale = Locale.parse(_REGION[language])
        self._entries = entries

    def __call__(self, key: str, n: int | None = None, **values: object) -> str:
        """The sentence under `key`; `n` chooses between one and many and is also available as ``{count}``.

        Raises KeyError for a key or a {word} that is not there: a page with holes is a fault, not a style.
        """
        entry = self._entries[key]
        if not isinstance(entry, str):
            entry = entry["other" if n is None else self.locale.plural_form(n)]
        if n is not None:
            values = {"count": self.number(n)} | values
        return entry.format(**values) if values else entry

    def number(self, value: int) -> str:
        """1.234 in German, 1,234 in English."""
        return str(format_decimal(value, locale=self.locale))

    def percent(self, share: float) -> str:
        """A share of 1 as whole per cent, rounded down, so that 100 % means all of it."""
        return str(format_percent(int(share * 100) / 100, locale=self.locale))

    def clock(self, moment: datetime, *, seconds: bool = False) -> str:
        """14:32 or 14:32:10, in the zone that `moment` carries."""
        return str(format_time(moment, "HH:mm:ss" if seconds else "HH:mm", locale=self.locale))

    def date(self, moment: datetime) -> str:
        """31.12.2024 in German, 31 Dec 2024 in English."""
        return str(format_date(moment, "medium", locale=self.locale))

    def zone(self, moment: datetime) -> str:
        """How people call the zone that `moment` carries: MEZ or CET; where there is no short name, GMT+13:00."""
        name = get_timezone_name(moment, width="short", locale=self.locale)
        return name if name[:1].isalpha() else get_timezone_gmt(moment, locale=self.locale)

    def for_browser(self) -> dict[str, Entry]:
        """The sentences that scripts need too."""
        return {key: entry for key, entry in self._entries.items() if key.split(".")[0] in FOR_BROWSER}

    @property
    def keys(self) -> frozenset[str]:
        """Every key, dotted."""
        return frozenset(self._entries)


@lru_cache
def catalogue(language: str) -> Catalogue:
    """The catalogue of ``de`` or ``en``."""
    text = resources.files(__name__).joinpath(f"{language}.toml").read_text(encoding="utf-8")
    return Catalogue(language, dict(_flat(tomllib.loads(text), "")))


def _flat(table: Mapping[str, Any], prefix: str) -> list[tuple[str, Entry]]:
    """Tables to dotted keys; a table of plural forms is one entry."""
    found: list[tuple[str, Entry]] = []
    for name, value in table.items():
        key = prefix + name
        if isinstance(value, str) or _PLURALS.issuperset(value):
            found.append((key, value))
        else:
            found.extend(_flat(value, f"{key}."))
    return found
