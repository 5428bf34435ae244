"""What the operator's page says is wrong, and what it does not: each rule by itself."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from footfall_api.messages import LANGUAGES, catalogue
from footfall_api.pages.operations_view import BUDGETS, NAMED, REASONS, SHOWN, OperationsView, age, operations_view
from footfall_ingest.judge import Reason

NOW = datetime(2026, 11, 26, 8, 30, tzinfo=UTC)
"""Half past nine in Jena."""

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def ago(length: timedelta) -> str:
    """A time so long before now."""
    return (NOW - length).isoformat()


def node(name: str = "nord", state: str = "online", **values: Any) -> dict[str, Any]:
    """A node that has run for nine hours."""
    return {"node": name, "state": state, "version": "1.2", "started": ago(9 * HOUR), "seen": ago(9 * HOUR)} | values


def health(state: str = "ok", **values: Any) -> dict[str, Any]:
    """What a node says of a sensor that does well."""
    seen = values.get("seen", ago(MINUTE))
    return {
        "state": state, "since": ago(9 * HOUR), "seen": seen, "last_frame": seen, "frames": 10_000,
        "bad_frames": 3, "skipped_bytes": 7, "restarts": 0, "waiting_slots": 2, "detail": "",
    } | values  # fmt: skip


def sensor(name: str = "markt-1", **values: Any) -> dict[str, Any]:
    """A sensor that does well."""
    return {
        "sensor": name, "node": "nord", "station": "markt", "role": "part", "health": health(),
        "last_report": ago(MINUTE), "measured_until": ago(MINUTE), "coverage_24h": 1.0, "coverage_7d": 0.999,
    } | values  # fmt: skip


def station(name: str = "markt", *sensors: str) -> dict[str, Any]:
    """A station."""
    return {
        "station": name, "name": name.capitalize(), "timezone": "Europe/Berlin", "sensors": list(sensors),
        "coverage_24h": 1.0, "coverage_7d": None,
    }  # fmt: skip


def quarantine(**reasons: int) -> dict[str, Any]:
    """So many open messages for each reason, the last a minute ago."""
    rows = [
        {"reason": name.replace("_", "-"), "messages": n, "times": n, "last_seen": ago(MINUTE)}
        for name, n in reasons.items()
    ]
    return {"open": sum(reasons.values()), "reasons": rows, "wrong_clocks": [], "newest": []}


def refused(budget: str, messages: int = 7, node: str | None = "alt") -> dict[str, Any]:
    """Messages of a node that were not taken, the last a minute ago."""
    return {"node": node, "budget": budget, "messages": messages, "last": ago(MINUTE)}


def answer(**values: Any) -> dict[str, Any]:
    """An installation in which all is well."""
    return {
        "at": NOW.isoformat(), "complete": True, "nodes": [node()], "sensors": [sensor()],
        "stations": [station("markt", "markt-1")], "quarantine": quarantine(), "refused": [],
        "database": {"bytes": 12_345_678, "hours_to_sum_up": 0, "oldest_hour_to_sum_up": None},
    } | values  # fmt: skip


def view(**values: Any) -> OperationsView:
    """The German page of `answer(**values)`."""
    return operations_view(answer(**values), catalogue("de"))


def keys(found: OperationsView) -> list[str]:
    """The troubles, worst first."""
    return [trouble.key for trouble in found.troubles]


def the_one(found: OperationsView, key: str) -> str:
    """All words of the only trouble."""
    assert keys(found) == [key]
    (trouble,) = found.troubles
    return f"{trouble.word}: {trouble.text} {trouble.says} {trouble.remedy} {trouble.command} {trouble.doc}"


def test_all_is_well() -> None:
    """One sentence with how many sensors report from how many nodes; as of when, in which zone; the tables."""
    sensors = [sensor(f"{n}-1", node="nord" if n < 4 else "sued") for n in range(6)]
    found = view(nodes=[node(), node("sued")], sensors=sensors)

    assert (found.state, found.headline) == ("fine", "Alles in Ordnung: 6 Sensoren an 2 Knoten berichten")
    assert found.as_of.startswith("Stand 09:30:00 Uhr (MEZ)")
    assert view().headline == "Alles in Ordnung: 1 Sensor an 1 Knoten berichtet"
    (row,) = view().sensors
    assert (row.sensor, row.place, row.node, row.state.text) == ("markt-1", "Markt", "nord", "misst")
    assert (str(row.since), str(row.report), row.frame) == (
        "00:30 (vor 9 Stunden)",
        "09:29 (vor 1 Minute)",
        "vor 1 Minute",
    )
    assert (row.day, row.week, row.waiting, row.frames) == ("100\xa0%", "99\xa0%", "2", "10.000")
    assert (row.bad, row.skipped, row.restarts) == ("3", "7", "0")
    assert (found.size, found.sums) == ("12 MB", "keine, die Zusammenfassung ist auf dem Laufenden")


def test_an_empty_database_is_no_trouble() -> None:
    """Nothing is wrong where nothing is; the page says what comes first."""
    found = view(nodes=[], sensors=[], stations=[])

    assert (found.state, found.headline, keys(found)) == ("empty", "Noch nichts eingerichtet", [])


def test_a_node_that_is_offline() -> None:
    """Since when, and which sensors are affected; these are no troubles of their own, and what it says is old."""
    affected = [sensor(n, health=health("silent", waiting_slots=900, seen=ago(5 * HOUR))) for n in ("a-1", "b-1")]
    said = the_one(view(nodes=[node(state="offline", seen=ago(3 * HOUR))], sensors=affected), "offline nord")

    assert said.startswith(
        "dringend: Knoten nord ist offline seit 06:30 (vor 3 Stunden). Dort angeschlossen: a-1, b-1."
    )
    assert "Strom und Netz" in said
    assert "footfall-edge outbox --config edge.toml docs/outbox.md" in said


def test_a_node_that_says_nothing_though_it_is_online() -> None:
    """Its broker has not noticed: while others are heard it is the node, and its sensors are not named again."""
    sensors = [sensor(health=health(seen=ago(HOUR)), last_report=ago(HOUR)), sensor("holz-1", node="sued")]
    found = view(nodes=[node(), node("sued")], sensors=sensors)

    assert "gilt als online, schweigt aber. Sein letztes Lebenszeichen: 08:30 (vor 60 Minuten)" in the_one(
        found, "quiet nord"
    )


def test_nothing_arrives_at_all() -> None:
    """If no node is heard it is rather the server that does not hear: one trouble, not one for each node."""
    old = {"health": health(seen=ago(HOUR)), "last_report": ago(HOUR)}
    sensors = [sensor(**old), sensor("holz-1", node="sued", **old)]
    found = view(nodes=[node(), node("sued"), node("weg", "offline")], sensors=sensors)

    assert keys(found) == ["nothing", "offline weg"]
    assert "Seit 08:30 (vor 60 Minuten) ist nichts mehr angekommen" in found.troubles[0].text
    assert "footfall-ingest" in found.troubles[0].remedy


@pytest.mark.parametrize(
    ("state", "word", "told"), [("fault", "gestört", "ist gestört"), ("silent", "schweigt", "schweigt")]
)
def test_a_sensor_that_does_not_measure(state: str, word: str, told: str) -> None:
    """Since when, at which station, what its node says, and the command that listens to its line."""
    bad = sensor(health=health(state, since=ago(12 * MINUTE), detail="no such port"))
    found = view(sensors=[bad])
    said = the_one(found, f"{state} markt-1")

    assert said.startswith(f"dringend: Sensor markt-1 (Markt) {told} seit 09:18 (vor 12 Minuten)")
    assert "„no such port“" in said
    assert "Auf dem Knoten nord" in said
    assert "footfall-edge probe --config edge.toml --sensor markt-1" in said
    assert (found.sensors[0].state.kind, found.sensors[0].state.text) == ("bad", word)


def test_a_sensor_nobody_installed_may_be_silent() -> None:
    """It is a note: no station misses it."""
    found = view(sensors=[sensor(station=None, role=None, last_report=None, health=health("silent"))], stations=[])

    assert the_one(found, "silent markt-1").startswith("Hinweis")


def test_a_sensor_without_reports() -> None:
    """Health says ok and no report has come for hours: something holds them back. A sensor by the hour is not late."""
    found = view(sensors=[sensor(last_report=ago(4 * HOUR))])

    assert "letzte Meldung: 05:30 (vor 4 Stunden)" in the_one(found, "unreported markt-1")
    assert keys(view(sensors=[sensor(health=None, last_report=ago(2 * HOUR)), sensor("b-1")])) == []


def test_sensors_that_never_reported_are_named_together() -> None:
    """One thing to do, however many they are; of many the first are named."""
    names = [f"neu-{n}" for n in range(NAMED + 3)]
    new = [sensor(name, node=None, health=None, last_report=None) for name in names]
    found = view(sensors=[sensor(), *new])

    said = the_one(found, "never")
    assert "11 eingetragene Sensoren haben noch nie etwas gemeldet: neu-0, " in said
    assert "neu-7 und 3 weitere" in said
    assert str(found.sensors[1].report) == "noch nie"


def test_a_backlog() -> None:
    """More than a few slots wait on a node: said of the node, with their sum. A few always do."""
    waiting = [sensor(f"{n}-1", health=health(waiting_slots=40)) for n in range(3)]

    assert "Auf Knoten nord warten 120 Zeitschritte" in the_one(view(sensors=waiting), "backlog nord")
    assert keys(view(sensors=[sensor(health=health(waiting_slots=60))])) == []


@pytest.mark.parametrize(
    "values",
    [
        {"nodes": [node(started=ago(-HOUR), seen=ago(MINUTE))]},
        {"sensors": [sensor(health=health(last_frame=ago(-HOUR)))]},
        {"sensors": [sensor(health=health(since=ago(-HOUR)))]},
    ],
)
def test_a_clock_that_is_ahead(values: dict[str, Any]) -> None:
    """A node that speaks of times which had not come when it did."""
    assert "Die Uhr von Knoten nord geht vor" in the_one(view(**values), "clock nord")


def test_reports_from_another_time() -> None:
    """Quarantine shows them: the node is named, with how many, and once though its health shows it, too."""
    held = quarantine(impossible=3) | {"wrong_clocks": [{"node": "alt", "messages": 3, "last_seen": ago(2 * MINUTE)}]}
    found = view(quarantine=held)

    assert keys(found) == ["clock alt", "quarantine"]
    assert "hat 3 Meldungen aus der Zukunft" in found.troubles[0].text
    assert found.troubles[0].command == "footfall-ingest quarantine list --node alt"
    odd = [{"node": "alt; reboot", "messages": 3, "last_seen": ago(2 * MINUTE)}]
    shell = view(quarantine=held | {"wrong_clocks": odd}).troubles[0].command
    assert shell == "footfall-ingest quarantine list --node 'alt; reboot'"
    ahead = view(quarantine=held | {"wrong_clocks": []}, nodes=[node(started=ago(-HOUR), seen=ago(MINUTE))])
    assert keys(ahead) == ["clock nord", "quarantine"]


def test_stations_without_sensors_and_sensors_without_stations() -> None:
    """Both are put right in the stations file."""
    stations = [station("markt", "markt-1"), station("saaltor")]
    found = view(stations=stations, sensors=[sensor(), sensor("fremd-1", station=None, role=None)])

    assert keys(found) == ["no-sensor", "unknown"]
    assert "An einer Zählstelle ist kein Sensor eingebaut: Saaltor." in found.troubles[0].text
    assert "fremd-1" in found.troubles[1].text
    assert {trouble.command for trouble in found.troubles} == {"footfall-ingest stations apply stations.geojson"}
    assert found.sensors[1].place == "keiner Zählstelle zugeordnet"
    assert found.stations[1].sensors == "kein Sensor"


def test_quarantine_that_is_not_empty() -> None:
    """How many for which reason; each reason has its meaning, and one of another version is not hidden."""
    found = view(quarantine=quarantine(wrong_node=2, brand_new=1))
    said = the_one(found, "quarantine")

    assert "3 Nachrichten liegen in Quarantäne" in said
    assert "2 × wrong-node, 1 × brand-new" in said
    assert "docs/quarantine.md" in said
    assert "sensor move" in found.reasons[0].meaning
    assert found.reasons[1].meaning == "Ein Grund, den diese Version nicht kennt."


def test_every_reason_of_the_aggregator_has_its_words() -> None:
    """What it puts into quarantine the page can explain."""
    assert set(REASONS) == {str(reason) for reason in Reason}


def test_quarantine_that_may_not_be_seen() -> None:
    """The command that grants it, and no claim that it is empty."""
    found = view(quarantine=None)

    assert "footfall-ingest migrate" in the_one(found, "quarantine-closed")
    assert found.quarantine_closed


@pytest.mark.parametrize(("frames", "bad", "is_trouble"), [(1980, 20, True), (1981, 19, False), (9980, 20, False)])
def test_bad_frames(frames: int, bad: int, is_trouble: bool) -> None:
    """From one in a hundred on, unless they are too few to say anything."""
    found = view(sensors=[sensor(health=health(frames=frames, bad_frames=bad))])

    assert keys(found) == (["bad-frames markt-1"] if is_trouble else [])
    if is_trouble:
        assert "1\xa0% der Rahmen fehlerhaft: 20 von 2.000" in found.troubles[0].text


def test_hours_that_are_not_summed_up() -> None:
    """Many are a note, a few are every late report."""
    database = {"bytes": 1, "hours_to_sum_up": 100, "oldest_hour_to_sum_up": ago(50 * HOUR)}

    assert "24.11.2026, 07:30 (vor 2 Tagen)" in the_one(view(database=database), "sums")
    assert keys(view(database=database | {"hours_to_sum_up": 99})) == []


def test_the_worst_comes_first_and_a_long_list_ends() -> None:
    """Urgent, soon, note; the headline counts all of them, and the state is that of the worst."""
    silent = [sensor(f"s{n}-1", health=health("silent")) for n in range(SHOWN + 5)]
    bad = sensor("z-1", health=health(bad_frames=5000))
    found = view(stations=[station("leer")], sensors=[bad, *silent])

    assert found.headline == "27 Dinge brauchen Aufmerksamkeit"
    assert found.state == "urgent"
    assert len(found.troubles) == SHOWN
    assert found.hidden == "… und 7 weitere Dinge"
    late = sensor("s-1", health=health("silent", waiting_slots=900))
    few = view(stations=[station("leer")], sensors=[bad, late])
    assert keys(few) == ["silent s-1", "backlog nord", "no-sensor", "bad-frames z-1"]
    assert [trouble.weight for trouble in few.troubles] == ["urgent", "soon", "soon", "note"]


def test_a_key_stays_while_the_trouble_lasts() -> None:
    """Numbers and ages change with each look; what is announced is only what is new."""
    before, after = (view(sensors=[sensor(health=health(waiting_slots=n))]) for n in (100, 900))

    assert keys(before) == keys(after)
    assert before.troubles[0].text != after.troubles[0].text


@pytest.mark.parametrize(
    ("age_s", "words"),
    [
        (-300, "in der Zukunft"),
        (-5, "gerade eben"),
        (59, "gerade eben"),
        (60, "vor 1 Minute"),
        (7199, "vor 119 Minuten"),
        (7200, "vor 2 Stunden"),
        (48 * 3600 - 1, "vor 47 Stunden"),
        (48 * 3600, "vor 2 Tagen"),
    ],
)
def test_ages(age_s: float, words: str) -> None:
    """In the unit that says it with a small number; a clock that is a little ahead is no future."""
    assert age(age_s, catalogue("de")) == words


def test_a_node_that_uses_up_its_budgets() -> None:
    """Said once, with how many messages in all and each reason; what is copied into a shell is a name there, too."""
    said = the_one(view(refused=[refused("rows", 1), refused("sensors", 41)]), "refused alt")

    assert said.startswith("bald: 42 Nachrichten von Knoten alt wurden in den letzten sieben Tagen nicht angenommen")
    assert "zu viel Verspätetes oder zu viele Zeitspannen, zu viele Sensoren." in said
    assert said.endswith("footfall-ingest quarantine list --node alt docs/misbehaving-node.md")

    nameless = the_one(view(refused=[refused("quarantine", 2, node=None)]), "refused ")
    assert nameless.startswith("bald: 2 Nachrichten, die keinen Knoten nennen, wurden in den letzten sieben Tagen")
    assert "Rechte am Broker prüfen" in nameless
    assert nameless.endswith("footfall-ingest quarantine list docs/misbehaving-node.md")


def test_zones_are_those_of_the_stations() -> None:
    """Times are local to most stations; without stations they are UTC, and say so."""
    auckland = [station("q", "markt-1") | {"timezone": "Pacific/Auckland"}]

    assert view(stations=auckland).as_of.startswith("Stand 21:30:00 Uhr (GMT+13:00)")
    assert view(stations=[], sensors=[]).as_of.startswith("Stand 08:30:00 Uhr (UTC)")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_all_of_it(language: str) -> None:
    """No sentence lacks a word that it needs, in any language."""
    held = quarantine(**{str(reason).replace("-", "_"): 1 for reason in Reason}) | {
        "wrong_clocks": [{"node": "alt", "messages": 1, "last_seen": ago(MINUTE)}]
    }
    sensors = [
        sensor(),
        sensor("a-1", health=health("fault", detail="x", bad_frames=9000, waiting_slots=70)),
        sensor("b-1", health=health("silent", since=None, last_frame=None)),
        sensor("c-1", node=None, health=None, last_report=None, role="reference"),
        sensor("d-1", station=None, role=None, coverage_24h=None),
        sensor("e-1", last_report=ago(9 * HOUR)),
        sensor("f-1", node="zwei", health=health(seen=ago(HOUR)), last_report=ago(HOUR)),
    ]
    database = {"bytes": 1, "hours_to_sum_up": 500, "oldest_hour_to_sum_up": ago(50 * HOUR)}
    nodes = [node(started=ago(-HOUR)), node("zwei"), node("drei", "offline")]
    found = operations_view(
        answer(
            nodes=nodes,
            sensors=sensors,
            stations=[station("leer")],
            quarantine=held,
            refused=[refused(budget) for budget in BUDGETS],
            database=database,
        ),
        catalogue(language),
    )

    assert len(found.troubles) == 15
    assert len({trouble.key for trouble in found.troubles}) == 15
    assert all(trouble.text and trouble.remedy and trouble.doc for trouble in found.troubles)
