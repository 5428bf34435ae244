"""The catalogue for portals of open data: what the profile demands, true to the data, the same in every form."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdflib import DCAT, DCTERMS, FOAF, RDF, XSD, BNode, Graph, Literal, Namespace, URIRef
from rdflib.compare import isomorphic
from rdflib.term import Node

from footfall_api.catalogue.facts import Box, Facts
from footfall_api.catalogue.forms import MEDIA_TYPES, Form
from footfall_api.catalogue.graph import OFFERS, PARTS, SERVICES, graph_of, written
from footfall_api.intervals import Resolution
from footfall_api.publication import HeldBack, Publication, Words
from footfall_api.ranges import FAR_S
from footfall_api.settings import (
    ApiSettings,
    CatalogueSettings,
    CitySettings,
    DatabaseSettings,
    FilesSettings,
    HeldBackSettings,
    HttpSettings,
    PublicationSettings,
    PublicSettings,
)
from footfall_testing.city import NOW, Api, City
from footfall_testing.dumps import dump_into

# rdflib's own parser of JSON-LD uses what it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")

HERE = str(Path(__file__).parent)
BASE = "https://zaehlung.example"
DCATAP = Namespace("http://data.europa.eu/r5r/")
DCATDE = Namespace("http://dcat-ap.de/def/dcatde/")
VCARD = Namespace("http://www.w3.org/2006/vcard/ns#")
PARSED_AS = {Form.TURTLE: "turtle", Form.JSON_LD: "json-ld", Form.RDF_XML: "xml"}

MUST: dict[Node, set[Node]] = {
    DCAT.Catalog: {DCTERMS.title, DCTERMS.description, DCTERMS.publisher},
    DCAT.Dataset: {DCTERMS.title, DCTERMS.description, DCTERMS.publisher},
    DCAT.Distribution: {DCAT.accessURL, DCTERMS.license},
    DCAT.DataService: {DCTERMS.title, DCAT.endpointURL, DCTERMS.publisher},
    FOAF.Agent: {FOAF.name},
}
"""What the profile calls mandatory."""

SHOULD: dict[Node, set[Node]] = {
    DCAT.Catalog: {
        DCTERMS.license, DCTERMS.language, DCTERMS.modified, DCTERMS.issued, DCTERMS.spatial, DCAT.themeTaxonomy,
        DCAT.dataset, DCATAP.availability, FOAF.homepage,
    },
    DCAT.Dataset: {
        DCAT.keyword, DCAT.theme, DCAT.contactPoint, DCAT.distribution, DCATAP.availability, DCTERMS.spatial,
        DCATDE.politicalGeocodingLevelURI, DCATDE.contributorID, DCTERMS.identifier, DCTERMS.language,
        DCTERMS.accessRights, DCTERMS.accrualPeriodicity, DCTERMS.creator, DCAT.landingPage,
    },
    DCAT.Distribution: {
        DCTERMS.title, DCTERMS.description, DCTERMS.modified, DCTERMS["format"], DCAT.mediaType, DCATAP.availability,
        DCATDE.licenseAttributionByText,
    },
    DCAT.DataService: {
        DCAT.endpointDescription, DCATAP.availability, DCAT.servesDataset, DCTERMS.license, DCTERMS.accessRights,
        DCAT.contactPoint,
    },
    FOAF.Agent: {DCTERMS.type, FOAF.homepage},
}  # fmt: skip
"""What it recommends and is known of a city that has filled in all settings."""

FILLED = CatalogueSettings(
    title="Fußverkehr", title_en="Footfall", description="Alles dazu.", keywords=("Zählung",), keywords_en=("count",),
    publisher_name="Stadt Jena, Amt für Verkehr", publisher_url="https://www.jena.example/verkehr",
    contributor_id="http://dcat-ap.de/def/contributors/transparenzportalHamburg", issued=date(2026, 3, 1),
)  # fmt: skip


def facts(**changed: Any) -> Facts:
    """A city in which everything is known."""
    known: dict[str, Any] = {
        "base": BASE,
        "city": "Jena",
        "settings": FILLED,
        "publisher": "Stadt Jena",
        "contact": "mailto:daten@jena.example",
        "licence": "http://dcat-ap.de/def/licenses/dl-by-de/2.0",
        "attribution": "Stadt Jena",
        "spatial": FILLED.spatial,
        "rules": Publication(Resolution.QUARTER_HOUR, Resolution.MINUTE, 86_400),
        "stations": (("markt", "Markt"),),
        "box": Box(11.58, 50.92, 11.59, 50.93),
        "measured_s": (1_700_000_000, 1_780_000_000),
        "counts_changed_s": 1_780_000_100,
        "stations_changed_s": 1_770_000_000,
    }
    return Facts(**known | changed)


def named(place: str = "") -> URIRef:
    """The address of the catalogue or of something in it."""
    return URIRef(f"{BASE}/catalog{place}")


def all_of(graph: Graph, kind: Node) -> list[Node]:
    return sorted(graph.subjects(RDF.type, kind))


def missing(graph: Graph, wanted: dict[Node, set[Node]]) -> list[tuple[Node, Node]]:
    """What should be said of the things of these classes and is not."""
    return [
        (me, link)
        for kind, links in wanted.items()
        for me in all_of(graph, kind)
        for link in links
        if graph.value(me, link) is None
    ]


def own_links(graph: Graph) -> set[Node]:
    return {value for value in graph.objects() if str(value).startswith(f"{BASE}/catalog")}


def test_everything_that_is_mandatory_or_recommended_is_said() -> None:
    """Of a city that has filled in all settings and has measured."""
    graph = graph_of(facts())

    assert missing(graph, MUST) == []
    assert missing(graph, SHOULD) == []
    assert [len(all_of(graph, kind)) for kind in MUST] == [1, 2, len(OFFERS), len(SERVICES), 1]


def test_without_files_nothing_leads_to_files() -> None:
    """What is offered is there."""
    graph = graph_of(facts(has_files=False))

    assert missing(graph, MUST) == []
    assert not any("/files/" in str(value) for value in graph.objects())
    assert len(all_of(graph, DCAT.Distribution)) == len(OFFERS) - 4


def test_of_a_new_city_only_what_is_true_is_said() -> None:
    """Nothing measured, no station, no contact: the mandatory rest, and no empty texts or dates."""
    graph = graph_of(
        facts(settings=CatalogueSettings(), contact=None, attribution=None, spatial=(), stations=(), box=None,
              measured_s=None, counts_changed_s=None, stations_changed_s=None)
    )  # fmt: skip

    assert missing(graph, MUST) == []
    for link in (
        DCTERMS.temporal, DCTERMS.spatial, DCTERMS.issued, DCTERMS.modified, DCAT.contactPoint, DCATDE.contributorID,
        DCATDE.licenseAttributionByText,
    ):  # fmt: skip
        assert list(graph.subject_objects(link)) == [], link
    assert [value for value in graph.objects() if not str(value).strip()] == []


def test_every_link_inside_leads_to_something_that_is_described() -> None:
    """What the catalogue says of itself is in it, has a class, and is not a blank node."""
    graph = graph_of(facts())
    links = own_links(graph)

    assert len(links) > 15
    assert {link for link in links if isinstance(link, URIRef) and graph.value(link, RDF.type) is None} == set()
    assert [node for node in (*graph.subjects(), *graph.objects()) if isinstance(node, BNode)] == []
    assert set(all_of(graph, DCAT.Distribution)) == set(graph.objects(None, DCAT.distribution))
    assert set(all_of(graph, DCAT.DataService)) == set(graph.objects(named(), DCAT.service))


def test_no_dataset_is_reached_from_another() -> None:
    """A harvester takes a dataset and all that its links lead to: that must not be two datasets."""
    graph = graph_of(facts())
    for dataset in all_of(graph, DCAT.Dataset):
        reached, coming = set[Node](), [dataset]
        while coming:
            node = coming.pop()
            if node not in reached:
                reached.add(node)
                coming += [value for value in graph.objects(node) if isinstance(value, URIRef)]

        assert [found for found in all_of(graph, DCAT.Dataset) if found in reached] == [dataset]
        assert named() not in reached


def test_a_service_has_its_own_address_and_a_download_has_the_same_twice() -> None:
    """Conventions 39 and 41 of the profile; a list of files is neither."""
    graph = graph_of(facts())
    for me in all_of(graph, DCAT.Distribution):
        (access,) = graph.objects(me, DCAT.accessURL)
        service, download = graph.value(me, DCAT.accessService), graph.value(me, DCAT.downloadURL)

        assert (service is None) or (download is None)
        if service is not None:
            assert access == graph.value(service, DCAT.endpointURL)
            assert graph.value(service, DCAT.servesDataset) == graph.value(None, DCAT.distribution, me)
        elif download is not None:
            assert access == download
        else:
            assert access == URIRef(f"{BASE}/files/")


def test_titles_and_descriptions_are_in_both_languages_and_say_the_rules() -> None:
    """Each once; with the operator's own words, and what is public with its reason."""
    reason = Words("Die Sensoren werden geprüft.", "The sensors are being checked.")
    rules = Publication(Resolution.HOUR, Resolution.HOUR, 0, 3600, 0, (HeldBack(("markt",), -FAR_S, FAR_S, reason),))
    graph = graph_of(facts(rules=rules))

    for kind in (DCAT.Catalog, DCAT.Dataset, DCAT.Distribution, DCAT.DataService):
        for me in all_of(graph, kind):
            for link in (DCTERMS.title, DCTERMS.description):
                languages = sorted(str(text.language) for text in graph.objects(me, link) if isinstance(text, Literal))
                assert languages == ["de", "en"], (me, link)
    texts = {str(text) for text in graph.objects(named("/dataset/counts"), DCTERMS.description)}
    german, english = sorted(texts, key=lambda text: "passages" in text)
    assert german.endswith("Markt: Zählwerte aller Zeit werden nicht veröffentlicht. Die Sensoren werden geprüft.")
    assert "60 Minuten später" in german
    assert english.endswith("Markt: counts of all time are not published. The sensors are being checked.")
    assert set(graph.objects(named(), DCTERMS.title)) == {Literal("Fußverkehr", "de"), Literal("Footfall", "en")}
    assert Literal("Fußverkehr: Zählwerte", "de") in set(graph.objects(named("/dataset/counts"), DCTERMS.title))
    # Without words of its own English has the German ones.
    assert set(graph.objects(named(), DCTERMS.description)) == {
        Literal("Alles dazu.", "de"),
        Literal("Alles dazu.", "en"),
    }
    assert Literal("Zählung", "de") in set(graph.objects(named("/dataset/stations"), DCAT.keyword))


@pytest.mark.parametrize(
    ("rules", "finest", "frequency"),
    [
        (Publication(Resolution.QUARTER_HOUR, Resolution.MINUTE, 86_400), "PT1M", "UPDATE_CONT"),
        (Publication(Resolution.QUARTER_HOUR, Resolution.MINUTE, 0), "PT15M", "UPDATE_CONT"),
        (Publication(Resolution.HALF_HOUR, Resolution.FIVE_MINUTES, 3600), "PT5M", "UPDATE_CONT"),
        (Publication(Resolution.HOUR, Resolution.HOUR, 0), "PT1H", "HOURLY"),
    ],
)
def test_the_finest_that_is_public_is_said(rules: Publication, finest: str, frequency: str) -> None:
    """As a duration, and how often the data grow."""
    graph = graph_of(facts(rules=rules))
    me = named("/dataset/counts")

    assert graph.value(me, DCAT.temporalResolution) == Literal(finest, datatype=XSD.duration)
    assert str(graph.value(me, DCTERMS.accrualPeriodicity)).endswith(f"/frequency/{frequency}")
    steps = {str(step) for step in graph.objects(named("/distribution/counts-sensorthings"), DCAT.temporalResolution)}
    assert steps == {"PT1H" if rules.finest is not Resolution.QUARTER_HOUR else "PT15M"}


def test_the_place_is_around_the_stations() -> None:
    """A box with some metres of air: one station has one too; at the edge of the map it ends there."""
    alone = graph_of(facts(box=Box(11.5, 50.9, 11.5, 50.9)))
    edge = graph_of(facts(box=Box(-180.0, -90.0, 180.0, 90.0)))

    assert str(alone.value(named("#area"), DCAT.bbox)) == (
        "POLYGON((11.49900 50.89900,11.50100 50.89900,11.50100 50.90100,11.49900 50.90100,11.49900 50.89900))"
    )
    assert str(alone.value(named("#area"), DCAT.centroid)) == "POINT(11.50000 50.90000)"
    assert str(edge.value(named("#area"), DCAT.bbox)).startswith("POLYGON((-180.00000 -90.00000,180.00000 -90.00000,")


def dates(graph: Graph) -> list[Literal]:
    return [v for v in graph.objects() if isinstance(v, Literal) and v.datatype in {XSD.date, XSD.dateTime}]


@pytest.mark.parametrize("form", Form)
def test_dates_are_dates(form: Form) -> None:
    """Shapes do not look: what is typed as a date or a time is one, of the right kind and with its offset."""
    graph = Graph().parse(written(facts(), form).content, format=PARSED_AS[form])
    found = dates(graph)

    assert {value.datatype for value in found} == {XSD.date, XSD.dateTime}
    for value in found:
        assert not value.ill_typed
        moment = value.toPython()
        if value.datatype == XSD.dateTime:
            assert isinstance(moment, datetime)
            assert moment.tzinfo is not None
            assert moment.isoformat() == str(value)
        else:
            assert type(moment) is date
    assert graph.value(named("#measured"), DCAT.startDate).toPython() == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")), min_size=1, max_size=20)


@settings(max_examples=15, deadline=None)
@given(title=words, publisher=words, attribution=words, station=words, measured=st.booleans())
def test_all_forms_say_the_same_whatever_is_filled_in(
    title: str, publisher: str, attribution: str, station: str, measured: bool
) -> None:
    """Quotes, brackets, emoji: the three documents are one graph, and it has all that is mandatory."""
    given_facts = facts(
        settings=CatalogueSettings(title=title, description=title, keywords=(title,)),
        publisher=publisher,
        attribution=attribution,
        stations=(("markt", station),),
        rules=Publication(held_back=(HeldBack(("markt",), 0, 60, Words(title, publisher)),)),
        measured_s=(0, 60) if measured else None,
    )
    graph = graph_of(given_facts)

    assert missing(graph, MUST) == []
    for form in Form:
        parsed = Graph().parse(written(given_facts, form).content, format=PARSED_AS[form])
        assert set(parsed) == set(graph), form  # there are no blank nodes


def test_the_tag_is_that_of_what_is_said() -> None:
    """Other facts have another tag, and so has another form; what the order of sets is in a process has no say."""
    tags = {form: written(facts(), form).etag for form in Form}
    program = "import test_catalogue as t; print(*(t.written(t.facts(), form).etag for form in t.Form))"
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([HERE, *sys.path])}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == list(tags.values())
    assert len({*tags.values(), written(facts(publisher="Weimar"), Form.TURTLE).etag}) == 4


# What the database says.


@pytest.fixture
def open_data(database: str, tmp_path: Path) -> Iterator[Api]:
    """The API of a city that publishes under its own address, files too."""
    configured = ApiSettings(
        database=DatabaseSettings(dsn=database),
        http=HttpSettings(public_url=BASE),
        city=CitySettings(contact="daten@jena.example", office="Stadt Jena, Amt für Verkehr"),
        files=FilesSettings(folder=str(tmp_path / "files")),
    )
    with Api(configured) as api:
        yield api


def read(api: Api, path: str = "/catalog", form: Form = Form.TURTLE, **headers: str) -> Graph:
    """The catalogue as a client that likes this form gets it."""
    answer = api.get(path, headers={"Accept": MEDIA_TYPES[form], **headers})
    assert answer.status_code == 200, answer.text
    return Graph().parse(answer.content, format=PARSED_AS[form])


def measured(api: Api) -> tuple[datetime, datetime] | None:
    """From when to when the catalogue says that something was measured."""
    graph = read(api)
    period = graph.value(named("/dataset/counts"), DCTERMS.temporal)
    if period is None:
        return None
    begin, end = graph.value(period, DCAT.startDate), graph.value(period, DCAT.endDate)
    return begin.toPython(), end.toPython()


def test_the_time_is_that_of_the_data(city: City, open_data: Api) -> None:
    """To the minute, from the first that was measured to the end of the last, wherever its sums are."""
    assert measured(open_data) is None
    key = city.counter("markt")
    city.minutes(key, NOW - timedelta(days=3), 30, observed_s=0)  # silent
    assert measured(open_data) is None

    city.minutes(key, NOW - timedelta(days=2, minutes=7), 30, {0: 1})
    city.sum_up()
    city.minutes(city.counter("tor"), NOW - timedelta(minutes=90), 20)
    assert measured(open_data) == (NOW - timedelta(days=2, minutes=7), NOW - timedelta(minutes=70))

    city.span(key, NOW - timedelta(days=5), NOW - timedelta(days=4), {0: 7})
    city.span(key, NOW - timedelta(days=9), NOW - timedelta(days=8))  # says only that nothing is known
    begin, _ = measured(open_data) or (None, None)
    assert begin == NOW - timedelta(days=5)


def test_the_time_outlives_its_minutes(city: City, open_data: Api) -> None:
    """Where minutes were removed the hours say when something was measured."""
    key = city.counter("markt")
    first = datetime(2026, 1, 10, 9, 20, tzinfo=UTC)
    city.minutes(key, first, 10, {0: 1})
    city.minutes(key, NOW - timedelta(hours=2), 10)
    city.remove_minutes(datetime(2026, 3, 1, tzinfo=UTC))

    assert measured(open_data) == (first.replace(minute=0), NOW - timedelta(minutes=110))


def test_what_is_not_public_is_no_part_of_the_time(city: City, database: str) -> None:
    """Held back, too new, not to be believed, or of a reference: the catalogue says nothing of it."""
    market, gate = city.counter("markt"), city.counter("tor")
    city.minutes(market, NOW - timedelta(days=10), 60)
    city.exclude(NOW - timedelta(days=11), NOW - timedelta(days=10) + timedelta(minutes=5), station="markt")
    city.minutes(market, NOW - timedelta(days=1), 60)
    city.minutes(market, NOW - timedelta(hours=2), 120)
    city.minutes(gate, NOW - timedelta(days=20), 60)
    reference = city.sensor("markt-r")
    city.install(reference, "markt", role="reference")
    city.minutes(reference, NOW - timedelta(days=30), 60)
    rules = PublicationSettings(
        delay_minutes=60, delay_reason="So.", held_back=(HeldBackSettings(stations=("tor",), reason="So."),)
    )
    configured = ApiSettings(
        database=DatabaseSettings(dsn=database), http=HttpSettings(public_url=BASE), publication=rules
    )
    with Api(configured) as api:
        begin, end = measured(api) or (None, None)

        assert begin == NOW - timedelta(days=10) + timedelta(minutes=5)
        assert end == NOW - timedelta(hours=1)


def test_the_rules_of_the_public_hold_for_everybody(city: City, database: str) -> None:
    """`local` opens the API; the catalogue is made for others."""
    city.minutes(city.counter("markt"), NOW - timedelta(hours=2), 60)
    rules = PublicationSettings(held_back=(HeldBackSettings(stations=("markt",), reason="Geprüft wird."),))
    configured = ApiSettings(
        database=DatabaseSettings(dsn=database), http=HttpSettings(public_url=BASE), publication=rules,
        public=PublicSettings(local=True),
    )  # fmt: skip
    with Api(configured) as api:
        assert measured(api) is None
        descriptions = read(api).objects(named("/dataset/counts"), DCTERMS.description)
        assert all("Geprüft wird." in str(text) for text in descriptions)


def test_the_date_of_change_is_that_of_the_last_report_or_remark(city: City, open_data: Api) -> None:
    """Never before the end of what was measured, and never in the future."""

    def modified() -> datetime:
        found = read(open_data).value(named("/dataset/counts"), DCTERMS.modified)
        assert found is not None
        moment: datetime = found.toPython()
        return moment

    key = city.counter("markt")
    long_ago = datetime(2024, 1, 1, tzinfo=UTC)
    city.minutes(key, NOW - timedelta(minutes=90), 60)
    city.connection.execute("SET session_replication_role = replica")  # no trigger notes this change
    city.connection.execute("UPDATE station SET changed = %s", [long_ago])
    assert modified() == NOW - timedelta(minutes=30)

    city.receive(key)
    city.connection.execute("UPDATE stream SET touched = %s", [NOW - timedelta(minutes=2)])
    assert modified() == NOW - timedelta(minutes=2)

    city.connection.execute("UPDATE stream SET touched = %s", [NOW + timedelta(days=400)])
    assert modified() == NOW


def test_the_settings_are_in_the_catalogue(city: City, open_data: Api) -> None:
    """Who publishes and who can be asked; the stations make the place."""
    city.station("markt")
    graph = read(open_data)

    assert graph.value(named("#publisher"), FOAF.name) == Literal("Stadt Jena, Amt für Verkehr")
    assert graph.value(named("#contact"), VCARD.hasEmail) == URIRef("mailto:daten@jena.example")
    assert str(graph.value(named("#area"), DCAT.bbox)).startswith("POLYGON((11.58682 50.92718,")
    assert URIRef("http://dcat-ap.de/def/politicalGeocoding/regionalKey/160530000000") in set(
        graph.objects(named("/dataset/counts"), DCTERMS.spatial)
    )
    assert graph.value(named("/distribution/counts-csv"), DCTERMS.license) == URIRef(
        "http://dcat-ap.de/def/licenses/dl-zero-de/2.0"
    )


# How it is answered.

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, Form.TURTLE),
        ("*/*", Form.TURTLE),
        ("application/pdf", Form.TURTLE),
        ("text/turtle", Form.TURTLE),
        ("application/ld+json", Form.JSON_LD),
        ("application/rdf+xml", Form.RDF_XML),
        ("application/rdf+xml;q=0.4, application/ld+json;q=0.6", Form.JSON_LD),
        ("text/html;q=0.1, application/rdf+xml", Form.RDF_XML),
        ("text/turtle,application/n-triples;q=0.9,application/ld+json;q=0.8,application/rdf+xml;q=0.7,*/*;q=0.3",
         Form.TURTLE),
    ],
)  # fmt: skip
def test_the_client_chooses_the_form(open_data: Api, accept: str | None, form: Form) -> None:
    """By its Accept header; who does not mind gets Turtle. Caches are told, and the other forms are named."""
    answer = open_data.get(
        "/catalog", headers={} if accept is None else {"Accept": accept, "Origin": "https://a.example"}
    )

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].split(";")[0] == MEDIA_TYPES[form]
    assert "Accept" in answer.headers["Vary"].split(", ")
    for other in Form:
        link = f'<{BASE}/catalog.{other}>; rel="alternate"; type="{MEDIA_TYPES[other]}"'
        assert (link in answer.headers["Link"]) == (other is not form)
    if accept is not None:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("form", Form)
def test_each_form_has_an_address_and_all_are_one_graph(city: City, open_data: Api, form: Form) -> None:
    """Whatever the client likes; the same as by content negotiation."""
    city.minutes(city.counter("markt"), NOW - timedelta(hours=2), 60)
    answer = open_data.get(f"/catalog.{form}", headers={"Accept": BROWSER})

    assert answer.headers["Content-Type"].split(";")[0] == MEDIA_TYPES[form]
    assert isomorphic(Graph().parse(answer.content, format=PARSED_AS[form]), read(open_data))


def test_a_browser_is_sent_to_the_page_about_the_data(open_data: Api) -> None:
    """Nobody wants to read RDF there."""
    answer = open_data.get("/catalog", headers={"Accept": BROWSER})

    assert (answer.status_code, answer.headers["Location"]) == (303, f"{BASE}/daten")
    assert "Accept" in answer.headers["Vary"].split(", ")
    assert open_data.get("/daten").status_code == 200


def test_nothing_is_sent_twice(city: City, open_data: Api) -> None:
    """A tag for each form, 304 for who has it, headers alone for HEAD; a new report changes the tag."""
    key = city.counter("markt")
    city.minutes(key, NOW - timedelta(hours=2), 60)
    first = open_data.get("/catalog")
    tag = first.headers["ETag"]
    again = open_data.get("/catalog", headers={"If-None-Match": tag})

    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert "Accept" in again.headers["Vary"]
    assert "max-age" in again.headers["Cache-Control"]
    assert open_data.get("/catalog.rdf", headers={"If-None-Match": tag}).status_code == 200
    head = open_data.request("HEAD", "/catalog")
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", tag)
    city.minutes(key, NOW - timedelta(hours=1), 5)
    assert open_data.get("/catalog", headers={"If-None-Match": tag}).status_code == 200


def test_what_is_in_it_has_an_address_that_answers(open_data: Api) -> None:
    """Each dataset, distribution and service leads to the catalogue, with the form still to be chosen."""
    graph = graph_of(facts())
    addresses = [
        str(me).removeprefix(BASE)
        for kind in (DCAT.Dataset, DCAT.Distribution, DCAT.DataService)
        for me in all_of(graph, kind)
    ]

    assert len(addresses) == sum(map(len, PARTS.values()))
    for address in addresses:
        answer = open_data.get(address)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"{BASE}/catalog"), address


def test_what_is_not_in_it_is_a_problem_with_advice(open_data: Api) -> None:
    """As everywhere; also an unknown parameter is."""
    unknown = open_data.get("/catalog/dataset/count")

    assert unknown.status_code == 404
    assert "dataset/counts" in unknown.json()["detail"]
    assert open_data.get("/catalog/thing/counts").status_code == 404
    assert open_data.get("/catalog", page="2").status_code == 422


def test_the_addresses_in_it_answer(city: City, open_data: Api, tmp_path: Path) -> None:
    """Portals look whether what they list is there."""
    city.minutes(city.counter("markt"), NOW - timedelta(days=2), 60)
    dump_into(tmp_path / "files", open_data.app.state.settings)
    graph = read(open_data)
    links = (
        DCAT.accessURL, DCAT.downloadURL, DCAT.endpointURL, DCAT.endpointDescription, DCAT.landingPage, FOAF.page,
        FOAF.homepage,
    )  # fmt: skip
    addresses = {str(value).removeprefix(BASE) for link in links for value in graph.objects(None, link)}

    assert len(addresses) >= 10
    for address in sorted(addresses):
        assert open_data.get(address).status_code in {200, 307}, address


def test_without_a_configured_address_it_is_the_one_that_was_asked(city: City, api: Api) -> None:
    """As everywhere in the API."""
    city.station("markt")

    assert (URIRef("http://footfall.test/catalog"), RDF.type, DCAT.Catalog) in Graph().parse(
        api.get("/catalog").content
    )


def test_an_odd_address_does_not_break_the_document(city: City, database: str) -> None:
    """What could be no part of an address in RDF is written so that it can."""
    city.station("markt")
    configured = ApiSettings(
        database=DatabaseSettings(dsn=database), http=HttpSettings(public_url='https://zaehlung.example/a b/"<c>{d}')
    )
    with Api(configured) as api:
        for form in Form:
            graph = Graph().parse(api.get(f"/catalog.{form}").content, format=PARSED_AS[form])

            assert set(graph.subjects(RDF.type, DCAT.Catalog)) == {URIRef(f"{BASE}/a%20b/%22%3Cc%3E%7Bd%7D/catalog")}
