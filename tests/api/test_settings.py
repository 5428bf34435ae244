"""Settings and the command line: what is refused, what is shown, and an example that is up to date."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from footfall_api.licences import wants_attribution
from footfall_api.settings import JENA_URI, ApiSettings
from footfall_role.settings import SettingsError

EXAMPLE = Path(__file__).parents[2] / "deploy" / "api.toml.example"


def test_the_example_has_the_defaults() -> None:
    """Whoever copies it has changed nothing yet."""
    assert ApiSettings.load(EXAMPLE) == ApiSettings()


def test_the_example_names_every_setting() -> None:
    """None is to be found in the code only."""
    text = EXAMPLE.read_text("utf-8")
    for section, field in ApiSettings.model_fields.items():
        names = getattr(field.annotation, "model_fields", None)
        place = text.split(f"\n[{section}]")[1].split("\n[")[0] if names else text
        for name in names or [section]:
            assert re.search(rf"^#? ?{name} = ", place, re.MULTILINE), f"[{section}] {name}"


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('[http]\nprot = 1', "http.prot is not a setting"),
        ('[http]\nport = 70000', "http.port"),
        ('[http]\npublic_url = "zaehlung.example"', "http.public_url: must be an address that begins with http://"),
        ('[public]\noperator_token = "geheim"', "operator_token must have at least 16 characters"),
        ('[public]\nlicence_url = "ftp://x"', "public.licence_url: must be an address"),
        ('[map]\ntiles_url = "https://tiles.example/{z}/{x}.png"', "tiles_url must contain {z}, {x} and {y}"),
        ('[map]\ntiles_url = "https://tiles.example/{z}/{x}/{y}.png"', "tiles_attribution is missing"),
        ('[map]\nstyle_url = "maps.example/style.json"', "map.style_url: must be an address that begins with http://"),
        ('[map]\nstyle_url = "https://maps.example/style.json"', "style_attribution is missing"),
        ('[map]\nstyle_url = "https://m/s"\nstyle_attribution = "x"\ntiles_url = "{z}{x}{y}"\ntiles_attribution = "x"',
         "tiles_url and style_url cannot both be set"),
        ('[map]\nstyle_origins = ["https://t.example; script-src *"]', "each must be an origin such as"),
        ('[map]\nstyle_origins = ["https://t.example/tiles"]', "each must be an origin such as"),
        ('[map]\nstreets = "/no/such/streets.geojson"', "map.streets: /no/such/streets.geojson cannot be read"),
        ('[database]\npool_size = 1', "database.pool_size"),
        ('[city]\nholidays = "Thüringen"', "city.holidays: 'Thüringen' is no country whose holidays are known"),
        ('[public]\nlicence_url = "https://www.govdata.de/dl-de/by-2-0"', "licenses/dl-by-de/2.0; set"),
        ('[catalogue]\nlicence_uri = "http://dcat-ap.de/def/licenses/cc-zero"', "the data can have one licence only"),
        ('[catalogue]\nlicence_uri = "CC0"', "must be an address of the list http://dcat-ap.de/def/licenses/, such as"),
        ('[public]\nlicence = "Unsere"\nlicence_url = "https://a.example/l"', "licence_uri in [catalogue] is missing"),
        ('[catalogue]\ncontributor_id = "jena"', "must begin with http://dcat-ap.de/def/contributors/"),
        ('[catalogue]\npublisher_url = "jena.de"', "catalogue.publisher_url: must be an address that begins with http://"),
        ('[catalogue]\nspatial = ["16053000"]', "must be an address that begins with http://"),
        ('[catalogue]\nspatial = ["http://a b"]', "without blanks; 'http://a b' is not"),
        ('[catalogue]\ncontact = "Rathaus"', "catalogue.contact: must be an e-mail or web address (it is 'Rathaus')"),
        ('[catalogue]\nlevel = "city"', "catalogue.level: Input should be 'municipality'"),
        ('[catalogue]\nissued = "soon"', "catalogue.issued: "),
        ('[city]\nholidays = "DE-TX"', "city.holidays: 'DE-TX' is no state whose holidays are known; in DE there are"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path, toml: str, message: str) -> None:
    """With the setting's name and what would be right, before anything is connected."""
    path = tmp_path / "api.toml"
    path.write_text(toml)

    with pytest.raises(SettingsError) as refused:
        ApiSettings.load(path)

    assert message in str(refused.value)
    assert "geheim" not in str(refused.value)


def test_the_attribution_is_the_citys_name_unless_it_is_set() -> None:
    """Nobody has to say it twice."""
    settings = ApiSettings.model_validate({"city": {"name": "Weimar"}})

    assert settings.attribution == "Weimar"
    assert ApiSettings.model_validate({"public": {"attribution": "KSJ"}}).attribution == "KSJ"


def test_the_licence_of_the_catalogue_follows_that_of_the_answers() -> None:
    """By where it is read or by its name, in whichever language; one that is set must be the same one."""
    of = ApiSettings.model_validate
    by = {"licence": "Namensnennung", "licence_url": "https://www.govdata.de/dl-de/by-2-0/"}
    cc = {"licence": "CC BY 4.0", "licence_url": "https://creativecommons.org/licenses/by/4.0/deed.de"}
    own = {"licence": "Unsere", "licence_url": "https://jena.example/lizenz"}
    listed = "http://dcat-ap.de/def/licenses"

    assert of({}).licence_uri == f"{listed}/dl-zero-de/2.0"
    assert of({"public": {"licence_url": ""}}).licence_uri == f"{listed}/dl-zero-de/2.0"
    assert of({"public": by}).licence_uri == f"{listed}/dl-by-de/2.0"
    assert of({"public": cc, "catalogue": {"licence_uri": f"{listed}/cc-by/4.0/"}}).licence_uri == f"{listed}/cc-by/4.0"
    assert of({"public": own, "catalogue": {"licence_uri": f"{listed}/odby"}}).licence_uri == f"{listed}/odby"
    assert [wants_attribution(f"{listed}/{end}") for end in ("dl-zero-de/2.0", "cc-zero", "dl-by-de/2.0", "odby")] == [
        False, False, True, True,
    ]  # fmt: skip


def test_no_other_city_is_said_to_be_in_jena() -> None:
    """The address that stands for Jena is a default of Jena's only."""
    of = ApiSettings.model_validate

    assert of({}).spatial == (JENA_URI,)
    assert of({"city": {"name": "Weimar"}}).spatial == ()
    assert of({"city": {"name": "Weimar"}, "catalogue": {"spatial": ["https://sws.geonames.org/1/"]}}).spatial == (
        "https://sws.geonames.org/1/",
    )
    assert of({"catalogue": {"spatial": []}}).spatial == ()


def footfall_api(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "footfall_api", *words], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_settings_in_force_can_be_shown(tmp_path: Path) -> None:
    """As TOML, without the secrets."""
    path = tmp_path / "api.toml"
    path.write_text(
        '[database]\ndsn = "postgresql://u:geheim@db/f"\n[public]\noperator_token = "geheim-geheim-geheim"\n'
        '[city]\nname = "Weimar"\n'
    )

    done = footfall_api("--config", str(path), "--print-config")

    assert done.returncode == 0
    assert "geheim" not in done.stdout + done.stderr
    assert tomllib.loads(done.stdout)["city"]["name"] == "Weimar"
    assert tomllib.loads(done.stdout)["http"]["port"] == 8000


def test_a_wrong_setting_ends_the_process_with_a_sentence(tmp_path: Path) -> None:
    """The exit status says that another start would not help; no traceback."""
    path = tmp_path / "api.toml"
    path.write_text("[http]\nport = 'high'\n")

    done = footfall_api("--config", str(path))

    assert done.returncode == 78
    assert done.stderr.startswith(f"footfall-api: {path}: http.port:")
    assert "Traceback" not in done.stderr


def test_it_says_its_version_and_its_options() -> None:
    """``--version`` and ``--help`` need no settings."""
    assert footfall_api("--version").stdout.startswith("footfall-api ")
    assert "--config" in footfall_api("--help").stdout


OPEN = {"local": True}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"public": OPEN, "http": {"host": "0.0.0.0"}}, ["local = true in [public]", "0.0.0.0", "[publication]"]),
        ({"public": OPEN, "http": {"host": "::"}}, ["local = true in [public]"]),
        ({"public": OPEN, "http": {"public_url": "https://zaehlung.example"}}, ["reaches zaehlung.example"]),
        ({"public": {"operator_token": "example-operator-token"}}, ["operator_token in [public]"]),
        ({"database": {"dsn": "postgresql://footfall_api_login:postgres@db/footfall"}}, ["dsn in [database]"]),
        ({"publish_mqtt": {"username": "stadtdaten", "password": "stadtdaten"}}, ["password in [publish_mqtt]"]),
    ],
)
def test_what_is_obviously_unsafe_is_named(settings: dict[str, Any], words: list[str]) -> None:
    """One sentence: which setting, and what to do."""
    (said,) = ApiSettings.model_validate(settings).unsafe_things()

    for word in words:
        assert word in said


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"http": {"host": "0.0.0.0", "public_url": "https://zaehlung.example"}},
        {"public": OPEN},
        {"public": OPEN, "http": {"host": "::1", "public_url": "http://localhost:8000"}},
        {"public": {"operator_token": "67f9f3a9e1b74a2fb3cd"}},
        {"database": {"dsn": "host=/run/postgresql dbname=footfall"}},
    ],
)
def test_what_is_usual_is_not_unsafe(settings: dict[str, Any]) -> None:
    """The defaults, the API behind a proxy, the demo on one machine, a token that was rolled, a login by the socket."""
    assert ApiSettings.model_validate(settings).unsafe_things() == []


def test_what_is_unsafe_ends_the_process_before_it_listens(tmp_path: Path) -> None:
    """Each fault in a sentence, and how to go on if it is meant to be so; commands are no exception."""
    path = tmp_path / "api.toml"
    path.write_text(
        '[http]\nhost = "0.0.0.0"\nport = 0\n[public]\nlocal = true\n[database]\ndsn = "postgresql://u:changeme@db/f"\n'
    )

    for words in ([], ["dump", str(tmp_path / "files")]):
        done = footfall_api("--config", str(path), *words)

        assert done.returncode != 0
        lines = done.stderr.splitlines()
        assert [line.partition(": ")[0] for line in lines] == ["footfall-api"] * 3
        assert "set unsafe = true" in lines[2]
        assert "changeme" not in done.stderr
    assert footfall_api("--config", str(path), "--print-config").returncode == 0
