"""/api/v1/privacy: true to the contract, the database and the rules, complete, in both languages."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_api.messages import catalogue
from footfall_api.privacy import MESSAGES, OUTBOX_DAYS, notice, sensed_by
from footfall_api.publication import LIFTED
from footfall_api.settings import (
    ApiSettings,
    CitySettings,
    DatabaseSettings,
    HeldBackSettings,
    PublicationSettings,
    PublicSettings,
)
from footfall_contract import schemas
from footfall_contract.report import REPORT_FIELDS
from footfall_edge.settings import OutboxSettings
from footfall_testing.city import NOW, Api, City

PATH = "/api/v1/privacy"


def texts(node: Any) -> list[dict[str, str]]:
    """Everything that is said in both languages."""
    if isinstance(node, dict):
        if set(node) == {"de", "en"}:
            return [node]
        return [found for value in node.values() for found in texts(value)]
    return [found for value in node for found in texts(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("message", MESSAGES)
def test_every_field_that_is_sent_is_explained(message: str) -> None:
    """All fields of the schema, in its order and no other; a new one fails here until somebody says what it is for."""
    told = {found["name"]: found for found in notice(CitySettings(), [], LIFTED, None)["messages"]}[message]
    schema = schemas.load(message)

    assert [field["name"] for field in told["fields"]] == list(schema["properties"])
    assert told["schema"] == schema["$id"]
    # Closed: what is not named here is not understood by whoever reads it.
    assert schema["additionalProperties"] is False
    explained = [field["text"]["de"] for field in told["fields"]]
    assert len(set(explained)) == len(explained)
    assert [found for found in texts(told) if not all(found.values())] == []


def test_nothing_is_explained_that_is_not_sent() -> None:
    """A field that is gone is gone from the texts, too."""
    families = {"report": "report", "sensor-health": "sensor_health", "node-status": "node_status"}
    for message, family in families.items():
        beginning = f"privacy.{family}."
        explained = {key.removeprefix(beginning) for key in catalogue("de").keys if key.startswith(beginning)}

        assert explained == set(schemas.load(message)["properties"])
    assert set(schemas.load("report")["properties"]) == set(REPORT_FIELDS)


def test_the_outbox_keeps_as_long_as_is_said() -> None:
    """The default of the edge, which the API cannot ask."""
    assert OutboxSettings.model_fields["keep_committed_days"].default == OUTBOX_DAYS
    assert f" {OUTBOX_DAYS} Tage" in catalogue("de")("privacy.kept.outbox")
    assert f" {OUTBOX_DAYS} days" in catalogue("en")("privacy.kept.outbox")


@pytest.mark.parametrize(
    ("kind", "senses"),
    [
        ("Radar, 60 GHz", "radar"),
        ("HLK-LD2450", "radar"),
        ("zwei Lichtschranken", "light_barrier"),
        ("Thermopile-Sensor", "thermal"),
        ("Wärmebildkamera", "thermal"),
        ("3D-Stereokamera", "camera"),
        ("Drehkreuz", "turnstile"),
        ("LiDAR", "laser"),
        ("Radar mit Kamera", None),  # not to be told by half
        ("Zählgerät", None),
        ("Kabinett", None),
        ("", None),
        (None, None),
    ],
)
def test_what_a_sensor_perceives_is_told_by_its_type_or_not_at_all(kind: str | None, senses: str | None) -> None:
    """The words are the city's: what they do not tell is not guessed."""
    assert sensed_by(kind) == senses


@given(st.text(max_size=40))
def test_any_type_has_a_text_or_none(kind: str) -> None:
    """No type that somebody enters breaks the notice."""
    senses = sensed_by(kind)

    assert senses is None or catalogue("de")(f"privacy.senses.{senses}")


def told(api: Api) -> dict[str, Any]:
    answer = api.get(PATH)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_every_sensor_is_listed_with_all_its_places(city: City, public_api: Api) -> None:
    """Also one that has been taken down and a reference; in the station's own time, oldest first."""
    city.station("markt")
    city.station("tor", title="Johannistor")
    key = city.sensor("wandering")
    moved = datetime(2026, 3, 1, tzinfo=UTC)
    city.install(key, "tor", moved)
    city.install(key, "markt", datetime(2025, 1, 1, tzinfo=UTC), moved)
    city.install(city.sensor("reference"), "tor", role="reference")
    city.connection.execute(
        "UPDATE installation SET type = 'Radar, 60 GHz', mounting = 'Laterne', field_of_view = '120°' "
        "WHERE sensor = %s AND station = 'tor'",
        [key],
    )

    reference, wandering = told(public_api)["sensors"]

    assert reference["id"] == "reference"
    assert reference["installations"][0]["role"] == "reference"
    assert reference["installations"][0]["senses"] is None
    first, second = wandering["installations"]
    assert (first["station"], first["from"], first["to"], first["type"]) == (
        "markt", "2025-01-01T01:00:00+01:00", "2026-03-01T01:00:00+01:00", None,
    )  # fmt: skip
    assert second == {
        "station": "tor", "station_name": "Johannistor", "from": "2026-03-01T01:00:00+01:00", "to": None,
        "role": "part", "type": "Radar, 60 GHz", "mounting": "Laterne", "field_of_view": "120°",
        "senses": {"de": catalogue("de")("privacy.senses.radar"), "en": catalogue("en")("privacy.senses.radar")},
    }  # fmt: skip


def test_everything_is_said_in_both_languages(city: City, public_api: Api) -> None:
    """And first of all that passages are counted, not persons."""
    city.counter("markt")
    notice_ = told(public_api)

    assert notice_["unit"] == "passages"
    assert "Passagen, nicht Personen" in notice_["statement"]["de"]
    assert "passages, not persons" in notice_["statement"]["en"]
    assert len(texts(notice_)) > 40
    assert [found for found in texts(notice_) if not (found["de"] and found["en"] and found["de"] != found["en"])] == []
    assert len(notice_["steps"]) == 5


def test_what_is_deleted_is_said_as_the_database_knows_it(city: City, public_api: Api) -> None:
    """The API does not know the period that is set; what went it knows."""

    def minutes() -> dict[str, Any]:
        (found,) = [kept for kept in told(public_api)["kept"] if kept["what"] == "minutes"]
        return dict(found)

    city.minutes(city.counter("markt"), NOW - timedelta(days=100), 60, {0: 1})
    before = minutes()
    city.remove_minutes(datetime(2026, 3, 20, 5, tzinfo=UTC))
    after = minutes()

    assert (before["since"], before["days"]) == (None, None)
    assert "nicht gelöscht" in before["text"]["de"]
    assert after["since"] == "2026-03-20T05:00:00+00:00"
    assert "20.03.2026, 05:00 (UTC)" in after["text"]["de"]
    assert "20 Mar 2026 05:00 (UTC)" in after["text"]["en"].replace(",", "")


def test_the_rules_are_those_in_force(city: City, database: str) -> None:
    """As data and as sentences, each with its reason; where everything is public, that."""
    city.station("markt")
    rules = PublicationSettings(
        finest="1h", recent="15min", recent_hours=48, fineness_reason="Wenige Leute.", fineness_reason_en="Few people.",
        delay_minutes=30, delay_reason="Prüfung.", small_below=5, small_reason="Wenige.",
        held_back=(
            HeldBackSettings.model_validate(
                {"stations": ["markt"], "to": "2026-03-01T00:00:00Z", "reason": "Probe.", "reason_en": "Trial."}
            ),
        ),
    )  # fmt: skip
    for local in (False, True):
        configured = ApiSettings(
            database=DatabaseSettings(dsn=database), publication=rules, public=PublicSettings(local=local)
        )
        with Api(configured) as api:
            published = told(api)["published"]
        sentences = published.pop("sentences")
        if local:
            assert (published["finest"], published["recent"], published["held_back"]) == ("1min", None, [])
            assert sentences["en"] == ["All counts are public, also by the minute and without delay."]
            continue
        assert published == {
            "finest": "1h", "finest_reason": {"de": "Wenige Leute.", "en": "Few people."},
            "recent": {"resolution": "15min", "hours": 48},
            "delay_minutes": 30, "delay_reason": {"de": "Prüfung.", "en": "Prüfung."},
            "small_below": 5, "small_reason": {"de": "Wenige.", "en": "Wenige."},
            "held_back": [
                {"stations": ["markt"], "from": None, "to": "2026-03-01T00:00:00+00:00",
                 "reason": {"de": "Probe.", "en": "Trial."}},
            ],
        }  # fmt: skip
        assert len(sentences["de"]) == len(sentences["en"]) == 4
        assert sentences["de"][3].startswith("Markt: Zählwerte bis 01.03.2026")
        assert sentences["en"][3].endswith("Trial.")


def test_who_is_responsible_is_the_citys_to_say(database: str) -> None:
    """What is not configured is null and not an empty text."""
    plain = ApiSettings(database=DatabaseSettings(dsn=database))
    told_ = CitySettings(
        name="Weimar", office="Amt für Verkehr", contact="amt@weimar.example", privacy="https://weimar.example/dsgvo",
        imprint="https://weimar.example/impressum",
    )  # fmt: skip
    with Api(plain) as api:
        assert told(api)["responsible"] == {
            "name": "Jena", "city": "Jena", "contact": None, "privacy": None, "imprint": None,
        }  # fmt: skip
    with Api(ApiSettings(database=DatabaseSettings(dsn=database), city=told_)) as api:
        assert told(api)["responsible"] == {
            "name": "Amt für Verkehr", "city": "Weimar", "contact": "amt@weimar.example",
            "privacy": "https://weimar.example/dsgvo", "imprint": "https://weimar.example/impressum",
        }  # fmt: skip


def test_it_is_not_sent_twice(city: City, public_api: Api) -> None:
    """A tag, and the licence in the header, as with all data."""
    first = public_api.get(PATH)
    again = public_api.get(PATH, headers={"If-None-Match": first.headers["ETag"]})
    city.counter("markt")

    assert again.status_code == 304
    assert 'rel="license"' in first.headers["Link"]
    assert public_api.get(PATH, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200
