"""What the pages say, in every language: the catalogues, and numbers and times as people write them.

A language is a folder beside this file, named by its code, with a TOML file for each page; ``frame.toml`` says what the
language is called, whose numbers it writes and under which addresses its pages are. Another language is another folder.
Numbers, percentages, dates and clock times are Babel's; in the browser ``Intl`` writes them, from the same CLDR data.
"""

import tomllib
from collections.abc import Collection, Mapping
from datetime import date as Date  # noqa: N812  # a method is called date
from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import Any, Final, TypeAlias

from babel import Locale
from babel.dates import format_date, format_time, get_timezone_gmt, get_timezone_name
from babel.numbers import format_decimal, format_percent

LANGUAGES: Final = (
    "de",
    *sorted(
        folder.name
        for folder in resources.files(__name__).iterdir()
        if folder.name != "de" and folder.is_dir() and folder.joinpath("frame.toml").is_file()
    ),
)
"""The codes of all languages. The first is the one of ``/``; the others are at ``/{code}/``."""

_PLURALS: Final = frozenset({"one", "other"})
_MINUS: Final = "\N{MINUS SIGN}"
_TINY: Final = 1e-9
"""0.29 × 100 is a little less than 29 to a computer, and 29 % all the same."""

Entry: TypeAlias = str | Mapping[str, str]


class Catalogue:
    """One language. Called with a key it gives the sentence, its {words} filled in."""

    def __init__(self, language: str, entries: Mapping[str, Entry], region: str) -> None:
        self.language = language
        self.locale = Locale.parse(region)
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

    def number(self, value: float, digits: int = 0) -> str:
        """1.234 in German, 1,234 in English; with `digits` after the point exactly so many of them."""
        shape = "#,##0" + ("." + "0" * digits if digits else "")
        return str(format_decimal(value, format=shape, locale=self.locale))

    def percent(self, share: float) -> str:
        """A share of 1 as whole per cent, rounded down, so that 100 % means all of it."""
        return str(format_percent(int(share * 100 + _TINY) / 100, locale=self.locale))

    def nearest_percent(self, share: float) -> str:
        """A share of 1 in whole per cent, rounded to the nearest."""
        return str(format_percent(round(share * 100) / 100, locale=self.locale))

    def change(self, ratio: float) -> str:
        """What `ratio` says of a change, in whole per cent with its sign: 1.2 is +20 %, 0.8 is −20 %, 1 is ±0 %."""
        percent = round((ratio - 1) * 100)
        sign = "+" if percent > 0 else _MINUS if percent < 0 else "±"
        return sign + str(format_percent(abs(percent) / 100, locale=self.locale))

    def clock(self, moment: datetime, *, seconds: bool = False) -> str:
        """14:32 or 14:32:10, in the zone that `moment` carries."""
        return str(format_time(moment, "HH:mm:ss" if seconds else "HH:mm", locale=self.locale))

    def date(self, moment: Date) -> str:
        """31.12.2024 in German, 31 Dec 2024 in English."""
        return str(format_date(moment, "medium", locale=self.locale))

    def day(self, moment: Date) -> str:
        """Di., 31.12.2024 in German, Tue 31 Dec 2024 in English."""
        joined = ", " if self.language == "de" else " "
        return str(format_date(moment, "EEE", locale=self.locale)) + joined + self.date(moment)

    def month(self, moment: Date) -> str:
        """Dezember 2024."""
        return str(format_date(moment, "LLLL y", locale=self.locale))

    def month_short(self, moment: Date) -> str:
        """Dez in German, Dec in English, as it stands at an axis."""
        return str(self.locale.months["stand-alone"]["abbreviated"][moment.month])

    def weekday(self, number: int, *, short: bool = False) -> str:
        """The name of a weekday; 0 is Monday."""
        return str(self.locale.days["stand-alone"]["abbreviated" if short else "wide"][number])

    def moment(self, moment: datetime) -> str:
        """31.12.2024, 14:32 in the zone that `moment` carries."""
        return f"{self.date(moment)}, {self.clock(moment)}"

    def zone(self, moment: datetime) -> str:
        """How people call the zone that `moment` carries: MEZ or CET; where there is no short name, GMT+13:00."""
        name = get_timezone_name(moment, width="short", locale=self.locale)
        return name if name[:1].isalpha() else get_timezone_gmt(moment, locale=self.locale)

    def for_browser(self, families: Collection[str]) -> dict[str, Entry]:
        """The sentences that the scripts of a page need too: those whose keys begin with one of `families`."""
        return {key: entry for key, entry in self._entries.items() if key.split(".")[0] in families}

    @property
    def keys(self) -> frozenset[str]:
        """Every key, dotted."""
        return frozenset(self._entries)


@lru_cache
def catalogue(language: str) -> Catalogue:
    """The catalogue of one of `LANGUAGES`.

    Raises:
        ValueError: two files of the folder have the same key.
    """
    entries: dict[str, Entry] = {}
    for file in sorted(resources.files(__name__).joinpath(language).iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".toml"):
            continue
        for key, entry in _flat(tomllib.loads(file.read_text(encoding="utf-8")), ""):
            if key in entries:
                raise ValueError(f"{language}/{file.name}: the key {key} is in another file, too")
            entries[key] = entry
    return Catalogue(language, entries, str(entries["language.region"]))


def _flat(table: Mapping[str, Any], prefix: str) -> list[tuple[str, Entry]]:
    """Tables to dotted keys; a table of plural forms is one entry."""
    found: list[tuple[str, Entry]] = []
    for name, value in table.items():
        key = prefix + name
        if isinstance(value, str) or (value and _PLURALS.issuperset(value)):
            found.append((key, value))
        else:
            found.extend(_flat(value, f"{key}."))
    return found
