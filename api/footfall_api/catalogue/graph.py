"""The catalogue in RDF, as DCAT-AP.de 3.0 wants it: one document with everything in it. Pure: facts in, a graph out.

Two datasets, counts and stations, with what they can be had as, and two services. What shapes it beside the profile:

- Nothing is a blank node: whoever reads the catalogue again knows by its address what was there before.
- A harvester takes a dataset with all that can be reached from it. So no dataset is reached from another one: a service
  names only the dataset from which it is reached, and the stations are plain downloads.
- A distribution of a service has the service's address and nothing to download; a plain download has the same address
  twice (conventions 41 and 39 of DCAT-AP.de). The files of the counts, one for each month and year, are one
  distribution for each format, and its address is the page that lists them: portals show links, not series.

A module of its own, imported when the catalogue is first asked for: rdflib takes a quarter of a second, and memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import Final

from rdflib import DCAT, DCTERMS, FOAF, RDF, RDFS, SKOS, XSD, Graph, Literal, Namespace, URIRef
from rdflib.term import Node

from footfall_api.caching import tag
from footfall_api.catalogue.facts import Facts
from footfall_api.catalogue.forms import Form
from footfall_api.intervals import Resolution
from footfall_api.messages import LANGUAGES, Catalogue, catalogue
from footfall_api.publication_words import sentences

Triple = tuple[Node, Node, Node]

DCATAP: Final = Namespace("http://data.europa.eu/r5r/")
DCATDE: Final = Namespace("http://dcat-ap.de/def/dcatde/")
GEODCATAP: Final = Namespace("http://data.europa.eu/930/")
GEO: Final = Namespace("http://www.opengis.net/ont/geosparql#")
VCARD: Final = Namespace("http://www.w3.org/2006/vcard/ns#")
EU: Final = Namespace("http://publications.europa.eu/resource/authority/")
"""The lists of the European Union, from which the profile takes most of its words."""

_PREFIXES: Final = {
    "dcat": DCAT, "dcterms": DCTERMS, "dcatap": DCATAP, "dcatde": DCATDE, "foaf": FOAF, "geo": GEO,
    "geodcatap": GEODCATAP, "rdf": RDF, "rdfs": RDFS, "skos": SKOS, "vcard": VCARD, "xsd": XSD,
}  # fmt: skip

_IANA: Final = "https://www.iana.org/assignments/media-types/"
_PUBLISHER_TYPE: Final = "http://purl.org/adms/publishertype/"
_LEVEL: Final = "http://dcat-ap.de/def/politicalGeocoding/Level/"
_OPENAPI: Final = "https://spec.openapis.org/oas/v3.1.0"
_SENSORTHINGS: Final = "http://www.opengis.net/doc/is/sensorthings/1.1"
_DATA_PACKAGE: Final = "https://specs.frictionlessdata.io/data-package/"
_GEOJSON: Final = "https://www.rfc-editor.org/rfc/rfc7946"

_MARGIN: Final = 0.001
"""Degrees around the stations that belong to where they count; of a single one they make a box."""


@dataclass(frozen=True, slots=True)
class Service:
    """Something that answers questions. Addresses begin after `Facts.base`."""

    id: str
    endpoint: str
    description: str
    """Where the endpoint is described for machines."""
    page: str
    """The key of the page about it."""
    formats: tuple[str, ...]
    """Names in the list of file types."""
    standard: str


@dataclass(frozen=True, slots=True)
class Offer:
    """One way in which a dataset can be had: a distribution. Addresses begin after `Facts.base`."""

    id: str
    dataset: str
    access: str
    format: str
    """Its name in the list of file types."""
    media_type: str
    service: str | None = None
    download: str | None = None
    is_packed: bool = False
    standard: str | None = None


SERVICES: Final = (
    Service("api", "/api/v1/counts", "/openapi.json", "api", ("CSV", "GEOJSON", "JSON", "PARQUET"), _OPENAPI),
    Service("sensorthings", "/sta/v1.1", "/sta/v1.1", "data", ("JSON",), _SENSORTHINGS),
)

OFFERS: Final = (
    Offer("counts-json", "counts", "/api/v1/counts", "JSON", "application/json", service="api"),
    Offer("counts-csv", "counts", "/api/v1/counts", "CSV", "text/csv", service="api"),
    Offer("counts-sensorthings", "counts", "/sta/v1.1", "JSON", "application/json", "sensorthings"),
    Offer("counts-files-csv", "counts", "/files/", "CSV", "text/csv", is_packed=True),
    Offer("counts-files-parquet", "counts", "/files/", "PARQUET", "application/vnd.apache.parquet"),
    Offer(
        "counts-datapackage", "counts", "/files/datapackage.json", "JSON", "application/json",
        download="/files/datapackage.json", standard=_DATA_PACKAGE,
    ),
    Offer(
        "stations-file", "stations", "/files/stations.geojson", "GEOJSON", "application/geo+json",
        download="/files/stations.geojson", standard=_GEOJSON,
    ),
    Offer(
        "stations-api", "stations", "/api/v1/stations", "GEOJSON", "application/geo+json",
        download="/api/v1/stations", standard=_GEOJSON,
    ),
)  # fmt: skip

DATASETS: Final = ("counts", "stations")


def offers_of(facts: Facts) -> tuple[Offer, ...]:
    """The ways that there are: files only where there are any."""
    return tuple(offer for offer in OFFERS if facts.has_files or not offer.access.startswith(_FILES))


_FILES: Final = "/files/"

_CLASSES: Final[dict[Node, Node]] = {
    DCAT.compressFormat: DCTERMS.MediaType,
    DCAT.landingPage: FOAF.Document,
    DCAT.mediaType: DCTERMS.MediaType,
    DCAT.theme: SKOS.Concept,
    DCAT.themeTaxonomy: SKOS.ConceptScheme,
    DCATAP.availability: SKOS.Concept,
    DCTERMS.accessRights: DCTERMS.RightsStatement,
    DCTERMS.accrualPeriodicity: DCTERMS.Frequency,
    DCTERMS.conformsTo: DCTERMS.Standard,
    DCTERMS["format"]: DCTERMS.MediaTypeOrExtent,
    DCTERMS.language: DCTERMS.LinguisticSystem,
    DCTERMS.license: DCTERMS.LicenseDocument,
    DCTERMS.spatial: DCTERMS.Location,
    DCTERMS.type: SKOS.Concept,
    FOAF.homepage: FOAF.Document,
    FOAF.page: FOAF.Document,
}
"""What things of other people's are, by the links that lead to them: a validator does not look them up."""

_CALLED: Final[dict[Node, Literal]] = {
    EU["data-theme/TRAN"]: Literal("Transport", lang="en"),
    EU["planned-availability/STABLE"]: Literal("stable", lang="en"),
    URIRef(f"{_PUBLISHER_TYPE}LocalAuthority"): Literal("Local Authority", lang="en"),
    URIRef(f"{_PUBLISHER_TYPE}RegionalAuthority"): Literal("Regional authority", lang="en"),
    URIRef(f"{_PUBLISHER_TYPE}NationalAuthority"): Literal("National authority", lang="en"),
    URIRef(f"{_PUBLISHER_TYPE}SupraNationalAuthority"): Literal("Supra-national authority", lang="en"),
}
"""The names of concepts, which must have one."""

PARTS: Final = {
    "dataset": frozenset(DATASETS),
    "distribution": frozenset(offer.id for offer in OFFERS),
    "service": frozenset(service.id for service in SERVICES),
}
"""What has an address of its own below that of the catalogue: ``/catalog/dataset/counts``."""

_LANGUAGES: Final = tuple(catalogue(language) for language in LANGUAGES)


def graph_of(facts: Facts) -> Graph:
    """The whole catalogue."""
    graph = Graph(bind_namespaces="none")
    for prefix, namespace in _PREFIXES.items():
        graph.bind(prefix, namespace)
    said = chain(
        _catalogue(facts),
        _people(facts),
        _place(facts),
        _counts(facts),
        _stations(facts),
        *(_distribution(facts, offer) for offer in offers_of(facts)),
        *(_service(facts, service) for service in SERVICES),
    )
    for me, link, value in said:
        graph.add((me, link, value))
        if link in _CLASSES:
            graph.add((value, RDF.type, _CLASSES[link]))
        if value in _CALLED:
            graph.add((value, SKOS.prefLabel, _CALLED[value]))
    return graph


@dataclass(frozen=True, slots=True)
class Written:
    """The catalogue in one form."""

    content: bytes
    etag: str


@lru_cache(maxsize=6)
def written(facts: Facts, form: Form) -> Written:
    """The graph in this form. The tag is that of what it says: the order in which it is said may be another one."""
    graph = graph_of(facts)
    if form is Form.JSON_LD:
        context = {prefix: str(namespace) for prefix, namespace in _PREFIXES.items()}
        content = graph.serialize(format="json-ld", context=context, encoding="utf-8")
    else:
        content = graph.serialize(format="turtle" if form is Form.TURTLE else "xml", encoding="utf-8")
    said = sorted(" ".join(node.n3() for node in triple) for triple in graph)
    return Written(content, tag(form, said))


def _catalogue(facts: Facts) -> Iterator[Triple]:
    me = _own(facts)
    yield me, RDF.type, DCAT.Catalog
    yield from _in_languages(me, DCTERMS.title, {t.language: _title(facts, t) for t in _LANGUAGES})
    described = {
        t.language: _chosen(t, facts.settings.description, facts.settings.description_en)
        or t("catalogue.description", city=facts.city)
        for t in _LANGUAGES
    }
    yield from _in_languages(me, DCTERMS.description, described)
    yield me, DCTERMS.publisher, _own(facts, "#publisher")
    yield me, DCTERMS.license, URIRef(facts.licence)
    yield me, DCAT.themeTaxonomy, EU["data-theme"]
    yield EU["data-theme"], DCTERMS.title, Literal("Data theme", lang="en")
    yield me, FOAF.homepage, URIRef(f"{facts.base}/")
    yield from _common(me)
    yield from _spatial(facts, me)
    yield from _dated(facts, me, max(facts.counts_changed_s or 0, facts.stations_changed_s or 0) or None)
    for dataset in DATASETS:
        yield me, DCAT.dataset, _own(facts, f"/dataset/{dataset}")
    for service in SERVICES:
        yield me, DCAT.service, _own(facts, f"/service/{service.id}")


def _people(facts: Facts) -> Iterator[Triple]:
    publisher = _own(facts, "#publisher")
    yield publisher, RDF.type, FOAF.Agent
    yield publisher, FOAF.name, Literal(facts.publisher)
    yield publisher, DCTERMS.type, URIRef(_PUBLISHER_TYPE + facts.settings.publisher_type)
    if facts.settings.publisher_url:
        yield publisher, FOAF.homepage, URIRef(facts.settings.publisher_url)
    if facts.contact:
        contact = _own(facts, "#contact")
        yield contact, RDF.type, VCARD.Kind
        yield contact, VCARD.fn, Literal(facts.publisher)
        is_mail = facts.contact.startswith("mailto:")
        yield contact, VCARD.hasEmail if is_mail else VCARD.hasURL, URIRef(facts.contact)


def _place(facts: Facts) -> Iterator[Triple]:
    box = facts.box
    if box is None:
        return
    west, east = max(-180.0, box.west - _MARGIN), min(180.0, box.east + _MARGIN)
    south, north = max(-90.0, box.south - _MARGIN), min(90.0, box.north + _MARGIN)
    corners = ((west, south), (east, south), (east, north), (west, north), (west, south))
    area = _own(facts, "#area")
    # WKT without a reference system is longitude and latitude in WGS 84 (CRS84). There is no `locn:geometry`: the
    # profile wants a node there, and harvesters of CKAN read a literal or fail.
    yield area, RDF.type, DCTERMS.Location
    yield area, DCAT.bbox, _wkt("POLYGON((" + ",".join(f"{x:.5f} {y:.5f}" for x, y in corners) + "))")
    yield area, DCAT.centroid, _wkt(f"POINT({(west + east) / 2:.5f} {(south + north) / 2:.5f})")


def _counts(facts: Facts) -> Iterator[Triple]:
    me = _own(facts, "/dataset/counts")
    names = dict(facts.stations)
    described = {
        t.language: "\n\n".join(
            [t("catalogue.dataset.text.counts", city=facts.city), " ".join(sentences(facts.rules, t, names))]
        )
        for t in _LANGUAGES
    }
    yield from _dataset(facts, "counts", described, facts.counts_changed_s)
    finest = _finest(facts)
    yield me, DCAT.temporalResolution, _duration(finest)
    frequency = "UPDATE_CONT" if finest.longest_s < Resolution.HOUR.longest_s else "HOURLY"
    yield me, DCTERMS.accrualPeriodicity, EU[f"frequency/{frequency}"]
    if facts.measured_s is not None:
        period = _own(facts, "#measured")
        yield me, DCTERMS.temporal, period
        yield period, RDF.type, DCTERMS.PeriodOfTime
        yield period, DCAT.startDate, _moment(facts.measured_s[0])
        yield period, DCAT.endDate, _moment(facts.measured_s[1])
    provenance = _own(facts, "#provenance")
    yield me, DCTERMS.provenance, provenance
    yield provenance, RDF.type, DCTERMS.ProvenanceStatement
    yield from _in_languages(provenance, RDFS.label, {t.language: t("catalogue.provenance") for t in _LANGUAGES})


def _stations(facts: Facts) -> Iterator[Triple]:
    described = {t.language: t("catalogue.dataset.text.stations", city=facts.city) for t in _LANGUAGES}
    yield from _dataset(facts, "stations", described, facts.stations_changed_s)
    yield _own(facts, "/dataset/stations"), DCTERMS.accrualPeriodicity, EU["frequency/IRREG"]


def _dataset(facts: Facts, name: str, described: dict[str, str], changed_s: int | None) -> Iterator[Triple]:
    """What both datasets say."""
    me = _own(facts, f"/dataset/{name}")
    publisher = _own(facts, "#publisher")
    yield me, RDF.type, DCAT.Dataset
    titles = {t.language: t(f"catalogue.dataset.title.{name}", title=_title(facts, t)) for t in _LANGUAGES}
    yield from _in_languages(me, DCTERMS.title, titles)
    yield from _in_languages(me, DCTERMS.description, described)
    yield me, DCTERMS.identifier, Literal(str(me))
    for role in (DCTERMS.publisher, DCTERMS.creator, GEODCATAP.custodian):
        yield me, role, publisher
    yield from _common(me)
    yield from _about(facts, me, "data")
    yield me, FOAF.page, URIRef(_page(facts, "about"))
    yield from _spatial(facts, me)
    yield from _dated(facts, me, changed_s)
    for offer in offers_of(facts):
        if offer.dataset == name:
            yield me, DCAT.distribution, _own(facts, f"/distribution/{offer.id}")


def _distribution(facts: Facts, offer: Offer) -> Iterator[Triple]:
    me = _own(facts, f"/distribution/{offer.id}")
    yield me, RDF.type, DCAT.Distribution
    titles = {t.language: t(f"catalogue.distribution.title.{offer.id}") for t in _LANGUAGES}
    yield from _in_languages(me, DCTERMS.title, titles)
    example = f"{facts.base}/api/v1/counts?format=csv&resolution=1d&from=2026-01-01"
    described = {t.language: t(f"catalogue.distribution.text.{offer.id}", example=example) for t in _LANGUAGES}
    yield from _in_languages(me, DCTERMS.description, described)
    yield me, DCAT.accessURL, URIRef(facts.base + offer.access)
    if offer.download is not None:
        yield me, DCAT.downloadURL, URIRef(facts.base + offer.download)
    if offer.service is not None:
        yield me, DCAT.accessService, _own(facts, f"/service/{offer.service}")
        finest = _finest(facts) if offer.service == "api" else facts.rules.standard[0]
        yield me, DCAT.temporalResolution, _duration(finest)
    yield me, DCTERMS["format"], EU[f"file-type/{offer.format}"]
    yield me, DCAT.mediaType, URIRef(_IANA + offer.media_type)
    if offer.is_packed:
        yield me, DCAT.compressFormat, URIRef(f"{_IANA}application/gzip")
    if offer.standard is not None:
        yield me, DCTERMS.conformsTo, URIRef(offer.standard)
    yield from _licensed(facts, me)
    yield from _common(me)
    yield from _dated(facts, me, facts.counts_changed_s if offer.dataset == "counts" else facts.stations_changed_s)


def _service(facts: Facts, service: Service) -> Iterator[Triple]:
    me = _own(facts, f"/service/{service.id}")
    yield me, RDF.type, DCAT.DataService
    titles = {t.language: t(f"catalogue.service.title.{service.id}", title=_title(facts, t)) for t in _LANGUAGES}
    yield from _in_languages(me, DCTERMS.title, titles)
    described = {t.language: t(f"catalogue.service.text.{service.id}") for t in _LANGUAGES}
    yield from _in_languages(me, DCTERMS.description, described)
    yield me, DCTERMS.publisher, _own(facts, "#publisher")
    yield me, DCAT.endpointURL, URIRef(facts.base + service.endpoint)
    yield me, DCAT.endpointDescription, URIRef(facts.base + service.description)
    yield me, DCAT.servesDataset, _own(facts, "/dataset/counts")
    for format_ in service.formats:
        yield me, DCTERMS["format"], EU[f"file-type/{format_}"]
    yield me, DCTERMS.conformsTo, URIRef(service.standard)
    yield from _licensed(facts, me)
    yield from _common(me)
    yield from _about(facts, me, service.page)


def _common(me: Node) -> Iterator[Triple]:
    """What everything in the catalogue says, and itself."""
    for t in _LANGUAGES:
        yield me, DCTERMS.language, URIRef(t("catalogue.language_uri"))
    yield me, DCATAP.availability, EU["planned-availability/STABLE"]


def _about(facts: Facts, me: Node, page: str) -> Iterator[Triple]:
    """What datasets and services say."""
    yield me, DCTERMS.accessRights, EU["access-right/PUBLIC"]
    yield me, DCAT.theme, EU["data-theme/TRAN"]
    for t in _LANGUAGES:
        own = _chosen_list(t, facts.settings.keywords, facts.settings.keywords_en)
        for word in dict.fromkeys([*own, *t("catalogue.keywords", city=facts.city).split(", ")]):
            yield me, DCAT.keyword, Literal(word, lang=t.language)
    if facts.contact:
        yield me, DCAT.contactPoint, _own(facts, "#contact")
    yield me, DCATDE.politicalGeocodingLevelURI, URIRef(_LEVEL + facts.settings.level)
    if facts.settings.contributor_id:
        yield me, DCATDE.contributorID, URIRef(facts.settings.contributor_id)
    yield me, DCAT.landingPage, URIRef(_page(facts, page))


def _licensed(facts: Facts, me: Node) -> Iterator[Triple]:
    yield me, DCTERMS.license, URIRef(facts.licence)
    if facts.attribution:
        yield me, DCATDE.licenseAttributionByText, Literal(facts.attribution)


def _spatial(facts: Facts, me: Node) -> Iterator[Triple]:
    for address in facts.spatial:
        yield me, DCTERMS.spatial, URIRef(address)
    if facts.box is not None:
        yield me, DCTERMS.spatial, _own(facts, "#area")


def _dated(facts: Facts, me: Node, changed_s: int | None) -> Iterator[Triple]:
    if facts.settings.issued is not None:
        yield me, DCTERMS.issued, Literal(facts.settings.issued, datatype=XSD.date)
    if changed_s is not None:
        yield me, DCTERMS.modified, _moment(changed_s)


def _in_languages(me: Node, link: Node, texts: dict[str, str]) -> Iterator[Triple]:
    for language, text in texts.items():
        yield me, link, Literal(text, lang=language)


def _title(facts: Facts, t: Catalogue) -> str:
    return _chosen(t, facts.settings.title, facts.settings.title_en) or t("catalogue.title", city=facts.city)


def _chosen(t: Catalogue, de: str, en: str) -> str:
    """The operator's own words in the language of `t`, or empty."""
    return de if t.language == "de" else en or de


def _chosen_list(t: Catalogue, de: tuple[str, ...], en: tuple[str, ...]) -> tuple[str, ...]:
    return {"de": de, "en": en}.get(t.language, ())


def _own(facts: Facts, place: str = "") -> URIRef:
    """The address of the catalogue, or of something in it."""
    return URIRef(f"{facts.base}/catalog{place}")


def _page(facts: Facts, key: str) -> str:
    """The address of a page for people, in the first language: it leads to the same page in the others."""
    return f"{facts.base}/{_LANGUAGES[0](f'path.{key}')}"


def _finest(facts: Facts) -> Resolution:
    return facts.rules.recent if facts.rules.recent_s else facts.rules.finest


def _duration(resolution: Resolution) -> Literal:
    minutes = resolution.longest_s // 60
    return Literal("PT1H" if minutes == 60 else f"PT{minutes}M", datatype=XSD.duration)


def _moment(moment_s: int) -> Literal:
    return Literal(datetime.fromtimestamp(moment_s, UTC), datatype=XSD.dateTime)


def _wkt(shape: str) -> Literal:
    return Literal(shape, datatype=GEO.wktLiteral)
