"""NGSI-LD entities: what stands in them, what does not where there is no number, and that they fit the model."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from rdflib import Graph, URIRef
from referencing import Registry, Resource

from footfall_api.answers import Answer, Reason, State
from footfall_api.intervals import Resolution
from footfall_api.ngsi_ld.entity import CONTEXT, About, about, attributes_of, entity, entity_id, key_values
from footfall_api.published import Published
from footfall_api.settings import ApiSettings
from footfall_api.stations import Labels, Station
from footfall_api.word import word_of

VECTORS = sorted((Path(__file__).parent / "vectors" / "ngsi-ld").glob("*.json"))
MODELS = "FOOTFALL_TEST_SMART_DATA_MODELS"
ABOUT = About("Jena", "Stadt Jena", "https://licence.example", "https://zaehlung.example", ("https://terms.example",))
END = datetime(2026, 6, 10, 12, tzinfo=UTC)
END_S = int(END.timestamp())

ANSWERS = st.builds(
    lambda state, reason, coverage, final: Answer(
        state, reason, coverage, state not in {State.MISSING, State.COARSE}, final
    ),
    st.sampled_from(State),
    st.none() | st.sampled_from(Reason),
    st.none() | st.floats(0, 1).map(lambda x: round(x, 4)),
    st.booleans(),
)
PASSAGES = st.one_of(
    st.fixed_dictionaries({"in": st.integers(0, 9999), "out": st.integers(0, 9999)}),
    st.fixed_dictionaries({"undirected": st.integers(0, 9999)}),
    st.fixed_dictionaries({word: st.integers(0, 9999) for word in ("in", "out", "undirected")}),
)


def station(labels: tuple[Labels, ...] = ()) -> Station:
    return Station("markt", "Markt", ZoneInfo("Europe/Berlin"), 11.58782, 50.92818, None, labels, ())


def published(passages: dict[str, int], answer: Answer, labels: tuple[Labels, ...] = ()) -> Published:
    return Published(station(labels), Resolution.QUARTER_HOUR, END_S - 900, END_S, passages, answer)


def from_vector(given: dict[str, Any]) -> Published:
    start, end = (int(datetime.fromisoformat(given[name]).timestamp()) for name in ("start", "end"))
    answer = Answer(State(given["state"]), given["reason"], given["coverage"], given["counted"], given["final"])
    labels = (Labels(None, given["labels"]),) if given["labels"] else ()
    return Published(station(labels), Resolution(given["resolution"]), start, end, given["passages"], answer)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_entities_are_those_of_the_vectors(path: Path) -> None:
    """What is written today is what was written when the vector was made: others depend on each letter."""
    vector = json.loads(path.read_text("utf-8"))
    written = entity(from_vector(vector["published"]), ABOUT, each=vector["each"])

    assert written == vector["normalized"]
    assert key_values(written) == vector["keyValues"]


def test_there_are_vectors() -> None:
    """An empty folder would pass."""
    assert len(VECTORS) >= 5


@hypothesis.given(PASSAGES, ANSWERS)
def test_a_number_is_there_or_left_out_and_never_invented(passages: dict[str, int], answer: Answer) -> None:
    """With a number its parts are those that were counted; without one no attribute of passages is there at all."""
    written = key_values(entity(published(passages, answer), ABOUT))
    numbers = {name for name in written if name.startswith("peopleCount")}

    if not answer.counted:
        assert numbers == set()
    else:
        assert written["peopleCount"] == sum(passages.values())
        assert written.get("peopleCountTowards") == passages.get("in")
        assert written.get("peopleCountAway") == passages.get("out")
    assert written["state"] == answer.state
    assert written.get("stateReason") == answer.reason
    assert written.get("coverage") == answer.coverage
    assert None not in written.values()


@hypothesis.given(PASSAGES, ANSWERS)
def test_what_changes_says_of_when_it_is(passages: dict[str, int], answer: Answer) -> None:
    """Each attribute but those of the place itself has the end of the interval as its time; keys are the same."""
    written = entity(published(passages, answer), ABOUT)
    timeless = {name for name in attributes_of(written) if "observedAt" not in written[name]}

    assert timeless == {"location", "name", "description", "address", "dataProvider", "source", "licence"}
    assert {written[name]["observedAt"] for name in attributes_of(written) - timeless} == {"2026-06-10T12:00:00Z"}
    assert key_values(written).keys() == written.keys()


def test_the_id_stays_and_that_of_each_interval_differs() -> None:
    """One entity for a station and a length of interval; with `each` one for each interval."""
    answer = Answer(State.MEASURED, None, 1.0, counted=True, final=True)
    early = published({"in": 1}, answer)
    late = Published(early.station, early.resolution, END_S, END_S + 900, {"in": 1}, answer)

    assert entity(early, ABOUT)["id"] == entity(late, ABOUT)["id"] == "urn:ngsi-ld:CrowdFlowObserved:jena:markt:15min"
    assert entity(late, ABOUT, each=True)["id"] == "urn:ngsi-ld:CrowdFlowObserved:jena:markt:15min:20260610T120000Z"


@pytest.mark.parametrize(
    ("name", "word"),
    [("Jena", "jena"), ("Weimar an der Ilm", "weimar-an-der-ilm"), ("Würzburg", "wuerzburg"),
     ("Gießen (Stadt)", "giessen-stadt"), ("Český Krumlov", "cesky-krumlov"), ("東京", "city")],
)  # fmt: skip
def test_a_city_is_a_word_of_the_id(name: str, word: str) -> None:
    """Letters a to z, digits and hyphens: what a URN and every broker takes."""
    assert word_of(name) == word


@hypothesis.given(st.text(max_size=40))
def test_every_name_of_a_city_makes_an_id(name: str) -> None:
    """Whatever the city is called."""
    found = entity_id(name, "markt", Resolution.HOUR)

    assert re.fullmatch(r"urn:ngsi-ld:CrowdFlowObserved:[a-z0-9]+(-[a-z0-9]+)*:markt:1h", found)
    assert len(found) <= 256


def test_settings_say_what_stands_around() -> None:
    """The licence's address, else its name; the attribution; our terms before those of the model."""
    settings = ApiSettings.model_validate({"public": {"licence_url": "", "licence": "CC0"}})
    found = about(settings, "https://z.example")

    assert (found.city, found.provider, found.licence) == ("Jena", "Jena", "CC0")
    assert found.context[0] == "https://z.example/api/v1/ngsi-ld/context.jsonld"
    assert "CrowdFlow" not in found.context[0]
    assert found.context[1].endswith("dataModel.Transportation/master/context.jsonld")
    assert about(settings, "", ["https://own.example"]).context == ("https://own.example",)


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")  # which the parser makes itself
def test_our_terms_are_terms() -> None:
    """Read as JSON-LD with our context, each of our attributes has the meaning that is promised."""
    answer = Answer(State.PARTIAL, Reason.SILENT, 0.5, counted=True, final=True)
    labels = (Labels(None, {"in": "Richtung Rathaus", "out": "Richtung Kirche"}),)
    written = key_values(entity(published({"in": 1, "out": 2}, answer, labels), ABOUT))
    document = {name: written[name] for name in CONTEXT} | {"@id": written["id"], "@context": dict(CONTEXT)}
    graph = Graph().parse(data=json.dumps(document), format="json-ld")
    found = {str(name): str(value) for _, name, value in graph.triples((URIRef(written["id"]), None, None))}

    assert found == {
        "urn:footfall:ngsi-ld:coverage": "0.5",
        "urn:footfall:ngsi-ld:state": "partial",
        "urn:footfall:ngsi-ld:stateReason": "silent",
        "urn:footfall:ngsi-ld:towardsLabel": "Richtung Rathaus",
        "urn:footfall:ngsi-ld:awayLabel": "Richtung Kirche",
        "http://purl.org/dc/terms/license": "https://licence.example",
    }


RESERVED = {"reason", "status", "scope", "value", "values", "object", "unitCode", "title", "endpoint", "mode", "error"}
"""Words that NGSI-LD keeps for itself, which no other context may give another meaning."""


def test_our_terms_are_none_of_ngsi_lds_own() -> None:
    """What its core context defines would win over ours."""
    assert not RESERVED & CONTEXT.keys()


@pytest.fixture(scope="session")
def model() -> Draft202012Validator:
    """The schema of the Smart Data Model, from a copy that the environment names."""
    folder = os.environ.get(MODELS)
    if not folder:
        pytest.skip(f"no Smart Data Models: set {MODELS} to a folder with CrowdFlowObserved/schema.json and "
                    "common-schema.json")  # fmt: skip
    common = json.loads((Path(folder) / "common-schema.json").read_text("utf-8"))
    resource: Resource[Any] = Resource.from_contents(common)
    registry: Registry[Any] = Registry().with_resource(
        "https://smart-data-models.github.io/data-models/common-schema.json", resource
    )
    schema = json.loads((Path(folder) / "CrowdFlowObserved" / "schema.json").read_text("utf-8"))
    return Draft202012Validator(schema, registry=registry, format_checker=FormatChecker())


def test_entities_fit_the_smart_data_model(model: Draft202012Validator) -> None:
    """Every vector in short, as the model's schema describes it; and one that does not fit is found."""
    for path in VECTORS:
        written = json.loads(path.read_text("utf-8"))["keyValues"]
        assert [error.message for error in model.iter_errors(written)] == []
        assert list(model.iter_errors(written | {"dateObservedFrom": 3, "peopleCount": -1}))


@hypothesis.given(passages=PASSAGES, answer=ANSWERS)
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_whatever_is_counted_fits_the_smart_data_model(
    model: Draft202012Validator, passages: dict[str, int], answer: Answer
) -> None:
    """Any state, with and without numbers."""
    for each in (False, True):
        written = key_values(entity(published(passages, answer), ABOUT, each=each))
        assert [error.message for error in model.iter_errors(written)] == []
