"""The publication rules in sentences, each with its reason, for people and for the descriptions of the data."""

from collections.abc import Mapping
from datetime import UTC, datetime

from footfall_api.intervals import Resolution
from footfall_api.messages import Catalogue
from footfall_api.publication import HeldBack, Publication, Words
from footfall_api.ranges import FAR_S


def sentences(rules: Publication, t: Catalogue, names: Mapping[str, str]) -> list[str]:
    """What is public and what is not, and why, in the language of `t`; `names` of stations by id. Times are in UTC."""
    found = [_with_reason(_fineness(rules, t), rules.fineness_reason, t)]
    if rules.delay_s:
        delay = t("publication.delay", minutes=t.number(rules.delay_s // 60))
        found.append(_with_reason(delay, rules.delay_reason, t))
    if rules.small_below:
        small = t("publication.small", most=t.number(rules.small_below - 1))
        found.append(_with_reason(small, rules.small_reason, t))
    for rule in rules.held_back:
        stations = ", ".join(names.get(station, station) for station in rule.stations)
        said = t("publication.held_back", stations=stations, span=_span(rule, t))
        found.append(_with_reason(said, rule.reason, t))
    return found


def _fineness(rules: Publication, t: Catalogue) -> str:
    finest = t(f"publication.each.{rules.finest}")
    if rules.finest is Resolution.MINUTE:
        return (
            t("publication.all")
            if not rules.delay_s and not rules.held_back
            else t("publication.finest", finest=finest)
        )
    if not rules.recent_s or rules.recent is rules.finest:
        return t("publication.finest", finest=finest)
    recent = t(f"publication.each.{rules.recent}")
    return t("publication.recent", recent=recent, hours=t.number(rules.recent_s // 3600), finest=finest)


def _span(rule: HeldBack, t: Catalogue) -> str:
    begin, end = (
        None if abs(bound) == FAR_S else f"{t.moment(datetime.fromtimestamp(bound, UTC))} UTC"
        for bound in (rule.from_s, rule.to_s)
    )
    if begin is None and end is None:
        return t("publication.ever")
    if end is None:
        return t("publication.from", begin=begin)
    return t("publication.until", end=end) if begin is None else t("publication.between", begin=begin, end=end)


def _with_reason(said: str, reason: Words, t: Catalogue) -> str:
    why = reason.de if t.language == "de" else reason.en
    return f"{said} {why}".rstrip()
