"""The catalogue against the rules of DCAT-AP.de and DCAT-AP themselves, in SHACL.

The shapes and the lists of words are other people's and no part of this project. ``FOOTFALL_TEST_DCAT_SHAPES`` names a
folder with them: a folder for each profile with its shapes (the DCAT-AP.de one needs those of DCAT-AP 3.0.0, too), and
a folder ``vocabularies`` with the lists that the shapes import. docs/open-data.md says where they are to be had.
"""

import os
from datetime import date, timedelta
from pathlib import Path

import pytest
from rdflib import DCAT, DCTERMS, RDF, RDFS, SH, SKOS, Graph, URIRef

from footfall_api.settings import (
    ApiSettings,
    CatalogueSettings,
    CitySettings,
    DatabaseSettings,
    FilesSettings,
    PublicSettings,
)
from footfall_demo.city import BOXES
from footfall_demo.configs import Wiring
from footfall_testing.city import NOW, Api, City

FOLDER = os.environ.get("FOOTFALL_TEST_DCAT_SHAPES", "")
LISTS = "vocabularies"

pytestmark = pytest.mark.skipif(not FOLDER, reason="FOOTFALL_TEST_DCAT_SHAPES names no folder with the shapes")


def profiles() -> list[Path]:
    folders = sorted(folder for folder in Path(FOLDER).iterdir() if folder.is_dir() and folder.name != LISTS)
    assert folders, f"{FOLDER} has no folder with shapes"
    return folders


def loaded(folder: Path) -> Graph:
    """All files of a folder as one graph."""
    graph = Graph()
    for path in sorted(folder.iterdir()):
        graph.parse(path, format="turtle" if path.suffix == ".ttl" else "xml")
    return graph


def background() -> Graph:
    """Which words are in which list, and which classes are part of others: what shapes ask about things elsewhere."""
    graph, everything = Graph(), loaded(Path(FOLDER) / LISTS)
    for link in (SKOS.inScheme, RDFS.subClassOf):
        for triple in everything.triples((None, link, None)):
            graph.add(triple)
    assert len(graph) > 100
    return graph


def complaints(graph: Graph, profile: Path) -> list[tuple[str, str, str]]:
    """What a validator says: severity, where, and why."""
    from pyshacl import validate

    # Every thing is an rdfs:Resource, but somebody has to say so.
    _, results, _ = validate(graph + background(), shacl_graph=loaded(profile), inference="rdfs")
    return sorted(
        (
            str(results.value(found, SH.resultSeverity)).rpartition("#")[2],
            f"{results.value(found, SH.focusNode)} {results.value(found, SH.resultPath)}",
            str(results.value(found, SH.resultMessage)),
        )
        for found in results.subjects(RDF.type, SH.ValidationResult)
    )


def populated(city: City) -> None:
    key = city.counter("markt")
    city.minutes(key, NOW - timedelta(days=40), 600, {0: 1})
    city.receive(key)
    city.counter("tor")


def demo(folder: Path, dsn: str) -> ApiSettings:
    """What the demo sets, as it writes it."""
    ports = dict.fromkeys(["ingest", *(box.node for box in BOXES)], 9100)
    wiring = Wiring(folder, dsn, dsn, dsn, "127.0.0.1", 1883, "127.0.0.1", 8000, 7, "Simulation", "t" * 16, ports)
    wiring.write()
    return ApiSettings.load(wiring.config("api"))


def filled(dsn: str) -> ApiSettings:
    """Every setting of the catalogue, and a licence that wants to be attributed."""
    return ApiSettings(
        database=DatabaseSettings(dsn=dsn),
        city=CitySettings(contact="daten@jena.example", office="Stadt Jena"),
        files=FilesSettings(folder="files"),
        public=PublicSettings(
            licence="Datenlizenz Deutschland – Namensnennung – Version 2.0",
            licence_url="https://www.govdata.de/dl-de/by-2-0",
            attribution="Stadt Jena",
        ),
        catalogue=CatalogueSettings(
            title="Fußverkehr", title_en="Footfall", description="Alles.", description_en="All.", keywords=("Zählung",),
            keywords_en=("count",), publisher_name="Stadt Jena", publisher_url="https://jena.example",
            contact="https://jena.example/kontakt", contributor_id="http://dcat-ap.de/def/contributors/transparenzportalHamburg",
            issued=date(2026, 3, 1),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("which", ["demo", "filled", "empty city"])
def test_nothing_is_violated(city: City, database: str, tmp_path: Path, which: str) -> None:
    """Neither with the settings of the demo nor with all of them, nor before anything was counted."""
    settings = filled(database) if which == "filled" else demo(tmp_path, database)
    if which != "empty city":
        populated(city)
    with Api(settings) as api:
        graph = Graph().parse(api.get("/catalog.ttl").content)
    for profile in profiles():
        found = complaints(graph, profile)
        assert [line for line in found if line[0] == "Violation"] == [], profile.name
        if profile.name.startswith("dcat-ap-de"):
            assert found == []  # no warning either


def test_the_shapes_would_notice(city: City, database: str) -> None:
    """Without what is mandatory, or with a word that is in no list, there are violations: the check is none in vain."""
    populated(city)
    with Api(filled(database)) as api:
        whole = Graph().parse(api.get("/catalog.ttl").content)
    (profile,) = [found for found in profiles() if found.name.startswith("dcat-ap-de")]
    for kind, link in (
        (DCAT.Distribution, DCTERMS.license),
        (DCAT.Dataset, DCTERMS.publisher),
        (DCAT.Distribution, DCAT.accessURL),
        (DCAT.DataService, DCAT.endpointURL),
    ):
        graph = Graph() + whole
        me = next(iter(sorted(graph.subjects(RDF.type, kind))))
        graph.remove((me, link, None))
        assert any(str(me) in where for severity, where, _ in complaints(graph, profile) if severity == "Violation")
    graph = Graph() + whole
    me = next(iter(sorted(graph.subjects(RDF.type, DCAT.Dataset))))
    graph.add((me, DCAT.theme, URIRef("http://publications.europa.eu/resource/authority/data-theme/FEET")))
    assert any("data-theme" in why for severity, _, why in complaints(graph, profile) if severity == "Violation")
