"""The catalogues: same keys, nothing missing, nothing left over, numbers and times as people write them."""

import re
from datetime import datetime
from pathlib import Path
from string import Formatter
from zoneinfo import ZoneInfo

import pytest

import footfall_api
from footfall_api.messages import LANGUAGES, Catalogue, Entry, catalogue
from footfall_api.pages import PAGES
from footfall_api.pages.frame import Page

PACKAGE = Path(footfall_api.__file__).parent
SOURCES = [
    *PACKAGE.rglob("*.py"),
    *(PACKAGE / "templates").rglob("*.html"),
    *(PACKAGE / "static/js").rglob("*.js"),
]
# `"nav." ~ page.key`: families of which every page has one.
FRAME_FAMILIES = {"nav", "path"}
IMPORT = re.compile(r"""(?:from|import\()\s*["']\.?/?([\w./]+\.js)["']""")
CALL = re.compile(r"""\bt\(\s*["'`]([a-z_]+(?:\.[a-z_]+)+)["'`]""")
# `status.${status}` in scripts and f"step.{step}" in Python: families whose last word is data.
FAMILY = re.compile(r"""["'`]([a-z_]+)\.\$?\{""")
# f"station.step.{resolution}" in Python, "station.step." ~ resolution in a template.
SUBFAMILY = re.compile(r"""f"([a-z_]+(?:\.[a-z_]+)+)\.\{|"([a-z_]+(?:\.[a-z_]+)+)\." ~""")


def text() -> str:
    """Everything that may name a key."""
    return "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)


def words(entry: Entry) -> set[str]:
    """The {words} of a sentence or of all its plural forms."""
    forms = [entry] if isinstance(entry, str) else list(entry.values())
    return {name for form in forms for _, name, _, _ in Formatter().parse(form) if name}


def test_both_languages_have_the_same_keys() -> None:
    """What can be said in German can be said in English, and the other way round."""
    german, english = (catalogue(language).keys for language in LANGUAGES)

    assert german == english


def test_both_languages_fill_in_the_same_words() -> None:
    """A sentence is given the same facts in each language; a singular may leave out the count."""
    german, english = (catalogue(language)._entries for language in LANGUAGES)

    assert {key: words(entry) for key, entry in german.items()} == {key: words(entry) for key, entry in english.items()}


def test_no_key_is_missing() -> None:
    """Every key that the page asks for is in the catalogue."""
    asked = set(CALL.findall(text()))

    assert len(asked) > 60
    assert asked <= catalogue("de").keys


def test_no_key_is_left_over() -> None:
    """Every sentence in the catalogue is used somewhere: named in full, or one of a family chosen by data."""
    source = text()
    families = set(FAMILY.findall(source))
    subfamilies = {python or template for python, template in SUBFAMILY.findall(source)}
    unused = {
        key
        for key in catalogue("de").keys
        if not re.search(rf"""["'`]{re.escape(key)}["'`]""", source)
        and key.split(".")[0] not in families | FRAME_FAMILIES
        and key.rpartition(".")[0] not in subfamilies
        and key not in {"language.own", "language.region"}
    }

    assert unused == set()


def scripts_of(page: Page) -> str:
    """The text of a page's script and of all that it imports of ours."""
    folder, found, wanted = PACKAGE / "static/js", dict[str, str](), [f"{page.key}.js"]
    while wanted:
        name = wanted.pop()
        if name not in found and (folder / name).exists():
            found[name] = (folder / name).read_text(encoding="utf-8")
            wanted += IMPORT.findall(found[name])
    return "\n".join(found.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.key)
def test_scripts_get_what_they_ask_for(page: Page) -> None:
    """A key that a script of the page asks for is among those sent to the browser, and no family is sent in vain."""
    asked = set(CALL.findall(scripts_of(page)))
    families = set(FAMILY.findall(scripts_of(page)))

    assert asked <= catalogue("de").for_browser(page.browser).keys()
    assert set(page.browser) == {key.split(".")[0] for key in asked} | families


def test_every_page_has_an_address_and_a_name() -> None:
    """In every language, and no two pages of a language have the same address."""
    for language in LANGUAGES:
        t = catalogue(language)
        addresses = [t(f"path.{page.key}") for page in PAGES]
        assert len(set(addresses)) == len(addresses)
        assert all(t(f"nav.{page.key}") for page in PAGES)
        assert all(re.fullmatch(r"[a-z0-9-]*", address) for address in addresses)
        if language == LANGUAGES[0]:  # those of the others begin with the language
            assert not set(addresses) & {*LANGUAGES, "api", "catalog", "static", "metrics", "healthz", "readyz"}


@pytest.mark.parametrize(
    ("language", "number", "percent", "date"),
    [("de", "1.234.567", "73\xa0%", "03.07.2026"), ("en", "1,234,567", "73%", "3 Jul 2026")],
)
def test_numbers_and_dates_are_written_as_people_write_them(
    language: str, number: str, percent: str, date: str
) -> None:
    """Thousands are grouped, per cent are rounded down, dates are in the order of the language."""
    t = catalogue(language)

    assert t.number(1_234_567) == number
    assert t.percent(0.7399) == percent
    assert t.date(datetime(2026, 7, 3, 14, 5, tzinfo=ZoneInfo("Europe/Berlin"))) == date


def test_shares_are_whole_per_cent() -> None:
    """Rounded down, so that 100 % means all of it; a share that is whole per cent stays what it is."""
    assert [n for n in range(101) if catalogue("en").percent(n / 100) != f"{n}%"] == []
    assert catalogue("en").percent(0.9999) == "99%"
    assert [catalogue("en").nearest_percent(share) for share in (0.294, 0.296, 0.9999)] == ["29%", "30%", "100%"]


def test_zones_are_named() -> None:
    """A zone has its usual short name, in winter and summer, or its distance from Greenwich."""
    t = catalogue("de")

    assert t.zone(datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))) == "MEZ"
    assert t.zone(datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin"))) == "MESZ"
    assert t.zone(datetime(2026, 1, 1, tzinfo=ZoneInfo("Pacific/Auckland"))) == "GMT+13:00"


def test_a_number_chooses_the_plural_form() -> None:
    """One station is spoken of otherwise than two."""
    t = catalogue("de")

    assert "An einer Stelle" in t("page.lead", 1)
    assert "An 2 Stellen" in t("page.lead", 2)


def test_an_unknown_key_or_word_is_a_fault() -> None:
    """A page with holes in its sentences is not served."""
    t = Catalogue("de", {"a.b": "{count} mal"}, "de_DE")

    with pytest.raises(KeyError):
        t("a.c")
    with pytest.raises(KeyError):
        t("a.b", time="12")


def test_one_passage_is_one_passage() -> None:
    """Sentences with a number in them say one passage and several passages."""
    for language, one, many in (("de", "1 Passage", "2 Passagen"), ("en", "1 passage", "2 passages")):
        t = catalogue(language)
        for count, said in ((1, one), (2, many)):
            sentences = (
                t("compare.finding_one", count, name="Markt"),
                t("report.finding_total", count, name="Markt", total=t.number(count)),
                t("station.summary.passages", count),
            )
            assert all(re.search(rf"{said}\b", sentence) for sentence in sentences), sentences
