"""publiccode.yml has every key that the standard demands, within its bounds, and the section of its country."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

import footfall_contract

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def publiccode() -> Any:
    """The file."""
    return yaml.safe_load((ROOT / "publiccode.yml").read_text("utf-8"))


def test_what_is_mandatory_is_there(publiccode: Any) -> None:
    """As publiccode.yml 0.4 has it."""
    assert publiccode["publiccodeYmlVersion"] == "0.4"
    assert {"name", "url", "platforms", "categories", "developmentStatus", "softwareType"} <= publiccode.keys()
    assert publiccode["developmentStatus"] in {"concept", "development", "beta", "stable", "obsolete"}
    assert publiccode["softwareType"] == "standalone/web"
    assert publiccode["legal"]["license"] == "EUPL-1.2"
    assert publiccode["maintenance"]["type"] == "community"
    assert publiccode["maintenance"]["contacts"][0]["name"]
    assert publiccode["localisation"] == {"localisationReady": True, "availableLanguages": ["de", "en"]}
    assert publiccode["softwareVersion"] == footfall_contract.__version__
    date.fromisoformat(str(publiccode["releaseDate"]))


@pytest.mark.parametrize("language", ["de", "en"])
def test_each_language_describes_it_in_full(publiccode: Any, language: str) -> None:
    """Catalogues cut what is longer."""
    said = publiccode["description"][language]
    assert 0 < len(said["genericName"]) <= 35
    assert 0 < len(said["shortDescription"]) <= 150
    assert 150 <= len(said["longDescription"]) <= 10_000
    assert said["features"]
    assert all(len(feature) <= 100 for feature in said["features"])


def test_the_section_for_germany_is_there(publiccode: Any) -> None:
    """Its version is its one mandatory key."""
    assert publiccode["de"] == {"countryExtensionVersion": "1.0"}
    assert publiccode["intendedAudience"]["countries"] == ["de"]


def test_what_it_depends_on_is_named(publiccode: Any) -> None:
    """With the least version."""
    assert {one["name"] for one in publiccode["dependsOn"]["open"]} >= {"PostgreSQL"}
    assert all(one["versionMin"] for one in publiccode["dependsOn"]["open"])
