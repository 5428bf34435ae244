"""deploy/compose: what it starts is pinned, bounded, without rights and without secrets in the open.

`FOOTFALL_TEST_COMPOSE_SCHEMA` names the JSON Schema of the Compose Specification (compose-spec.json); without it that
one test skips and says so.
"""

import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from packaging.requirements import Requirement

from footfall_api.settings import ApiSettings
from footfall_edge.settings import EdgeSettings
from footfall_ingest.settings import IngestSettings
from footfall_role.settings import RoleSettings
from footfall_testing import compose
from footfall_testing.compose import COMPOSE, ROOT, UnsetError, mounts_of, secrets_of, volumes_of

SCHEMA = "FOOTFALL_TEST_COMPOSE_SCHEMA"
NAMES = {
    "VERSION": "0.1.0",
    "WEB_HOST": "zaehlung.example.org",
    "MQTT_HOST": "broker.example.org",
    "ACME_EMAIL": "it@example.org",
}

DOCUMENT = compose.read(NAMES)
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
CONTAINERFILE = (ROOT / "deploy" / "Containerfile").read_text("utf-8")

ONE_SHOT = {"migrate", "nodes", "authority", "admin"}
"""Services that do something and end."""
ROLES: dict[str, type[RoleSettings]] = {
    "migrate": IngestSettings,
    "ingest": IngestSettings,
    "backup": IngestSettings,
    "nodes": IngestSettings,
    "authority": IngestSettings,
    "api": ApiSettings,
    "dump": ApiSettings,
    "publish": ApiSettings,
}
"""Whose settings the services of ours read."""


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the test alone."""
    for name in [name for name in os.environ if name.startswith("FOOTFALL_") and not name.startswith("FOOTFALL_TEST_")]:
        monkeypatch.delenv(name)


@pytest.fixture(params=sorted(SERVICES))
def service(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Each service: its name and what it says."""
    return request.param, SERVICES[request.param]


def test_it_is_what_the_specification_says() -> None:
    """No word of it is misspelt, or in a place where compose would not look for it."""
    path = os.environ.get(SCHEMA)
    if not path:
        pytest.skip(f"set {SCHEMA} to compose-spec.json of the Compose Specification to validate compose.yaml")
    schema = json.loads(Path(path).read_text("utf-8"))

    faults = [f"{list(e.path)}: {e.message}" for e in jsonschema.Draft7Validator(schema).iter_errors(DOCUMENT)]

    assert faults == []


@pytest.mark.parametrize("missing", sorted(NAMES))
def test_what_has_no_default_stops_it_with_a_sentence(missing: str) -> None:
    """Before anything starts, and the sentence says what to do."""
    with pytest.raises(UnsetError, match=r"run prepare\.sh"):
        compose.read({**NAMES, missing: ""})
    assert f"${{{missing}:-" not in (COMPOSE / "compose.yaml").read_text("utf-8"), "a default for one of them"


def test_each_image_has_a_version(service: tuple[str, dict[str, Any]]) -> None:
    """One that stays what it is: no `latest`, no bare name; ours have footfall's version and are built here."""
    name, said = service
    image, _, tag = said["image"].rpartition(":")

    assert re.search(r"\d+\.\d+", tag), f"{name}: {said['image']}"
    if "build" in said:
        assert tag == NAMES["VERSION"]
        assert f"AS {said['build']['target']}\n" in CONTAINERFILE
        assert (COMPOSE / said["build"]["context"] / said["build"]["dockerfile"]).is_file()
    else:
        assert "." in image.partition("/")[0], f"{name}: Podman asks which registry {image} is in"


def test_each_service_runs_without_rights(service: tuple[str, dict[str, Any]]) -> None:
    """A user by number that is not root, no capability, a root file system that nobody writes to.

    Some have what they cannot do without: Caddy's program does not start otherwise, and what is run by hand to make
    accounts gives files to the broker.
    """
    name, said = service
    gives = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"]
    allowed = {"caddy": ["NET_BIND_SERVICE"], "nodes": gives, "authority": gives}

    assert re.fullmatch(r"\d+:\d+", said["user"])
    assert name in {"nodes", "authority"} or not said["user"].startswith("0:")
    assert said["read_only"] is True
    assert said["cap_drop"] == ["ALL"]
    assert said.get("cap_add", []) == allowed.get(name, [])
    assert said["security_opt"] == ["no-new-privileges:true"]
    assert said.get("network_mode", "none") == "none"
    assert not {"privileged", "ipc", "userns_mode", "devices"} & said.keys()


def test_our_images_and_services_agree_on_their_users() -> None:
    """The secrets belong to these numbers."""
    for name, target in (("ingest", "ingest"), ("migrate", "ingest"), ("api", "api"), ("backup", "backup")):
        user = SERVICES[name]["user"].partition(":")[0]
        stage = CONTAINERFILE.split(f" AS {target}\n")[1].split("\nFROM ")[0]
        assert f"--uid {user} " in stage
        assert re.search(rf"^USER {user}:{user}$", stage, re.MULTILINE)


def test_each_service_is_bounded(service: tuple[str, dict[str, Any]]) -> None:
    """In memory, processes and logs; and it comes back after a crash or a restart of the machine, if it is to stay."""
    name, said = service

    assert re.fullmatch(r"\d+[mg]", said["mem_limit"])
    assert 0 < said["pids_limit"] <= 512
    assert said["logging"]["options"].keys() >= {"max-size", "max-file"}
    assert said["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")


def test_each_service_that_stays_is_asked_how_it_is(service: tuple[str, dict[str, Any]]) -> None:
    """By a command that its image has; none of them asks a network."""
    name, said = service
    check = said["healthcheck"]

    if name in ONE_SHOT:
        assert check == {"disable": True}
        return
    assert check["test"][0] == "CMD"
    assert check["interval"]
    assert check["timeout"]
    addresses = re.findall(r"\d+\.\d+\.\d+\.\d+", " ".join(check["test"]))
    assert all(ipaddress.ip_address(address).is_loopback for address in addresses)


def test_what_is_waited_for_is_there(service: tuple[str, dict[str, Any]]) -> None:
    """Nobody starts with half a schema, and no service waits for one that is in another profile and might not come."""
    name, said = service
    for other, how in said.get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert how == {"condition": expected}
        assert set(SERVICES[other].get("profiles", [])) <= set(said.get("profiles", []))
    if name in ROLES.keys() - ONE_SHOT:
        assert "migrate" in said["depends_on"]


def variables() -> Iterator[tuple[str, str, str]]:
    """Service, name and value of each variable."""
    for name, said in SERVICES.items():
        for key, value in said.get("environment", {}).items():
            yield name, key, str(value)


def test_no_secret_is_in_a_variable() -> None:
    """Variables show in `docker inspect` and are inherited: a variable may name the file of a secret, nothing more."""
    for name, key, value in variables():
        if re.search("PASSWORD|TOKEN|SECRET|DSN|_PASS", key) and key != "GF_SECURITY_ADMIN_USER":
            assert key.endswith("_FILE"), f"{name}: {key}"
            assert value in secrets_of(SERVICES[name]), f"{name}: {key} names {value}, which it is not given"
    text = (COMPOSE / "compose.yaml").read_text("utf-8")
    assert not re.search(r"://\w+:\w", text), "a connection URL with a password"


def test_each_secret_is_a_file_of_its_own_and_somebody_reads_it(tmp_path: Path) -> None:
    """None is left over, none comes from elsewhere, and those who are given one are of one account."""
    readers: dict[str, set[str]] = {name: set() for name in DOCUMENT["secrets"]}
    for said in SERVICES.values():
        for secret in secrets_of(said).values():
            if said["user"] != "0:0":  # what is run by hand may read those of others
                readers[secret].add(said["user"])

    assert {name: found["file"] for name, found in DOCUMENT["secrets"].items()} == {
        name: f"./secrets/{name}" for name in readers
    }
    assert {name: len(users) for name, users in readers.items()} == dict.fromkeys(readers, 1)


@pytest.mark.parametrize("name", sorted(ROLES))
def test_each_variable_of_ours_is_a_setting(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The role takes them as they are, with the secrets that they name; a misspelt one would be refused.

    What comes out is not what is obviously unsafe, though the API listens on all addresses of its container.
    """
    told = {key: str(value) for key, value in SERVICES[name].get("environment", {}).items()}
    told = {key: value for key, value in told.items() if key.startswith("FOOTFALL_")}
    for key, value in told.items():
        path = tmp_path / key
        path.write_text("postgresql://nobody@database/footfall" if "DSN" in key else "5ab1e8c09d3f47765ab1e8c0")
        monkeypatch.setenv(key, str(path) if value.startswith(compose.SECRETS) else value)

    settings = ROLES[name].load(None)

    assert isinstance(settings, IngestSettings | ApiSettings)
    assert settings.unsafe_things() == []
    assert not settings.unsafe
    for key, value in told.items():
        if not key.endswith("_FILE"):
            found = _value(settings, key)
            assert (json.dumps(found) if isinstance(found, tuple) else str(found)).lower() == value.lower(), key


def _value(settings: object, variable: str) -> object:
    for part in variable.removeprefix("FOOTFALL_").lower().split("__"):
        settings = getattr(settings, part)
    return settings


def test_each_variable_of_the_images_is_a_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the Containerfile sets holds where no compose.yaml says otherwise."""
    roles = {"ingest": IngestSettings, "backup": IngestSettings, "api": ApiSettings, "edge": EdgeSettings}
    for stage, role in roles.items():
        text = CONTAINERFILE.split(f" AS {stage}\n")[1].split("\nFROM ")[0].replace("\\\n", " ")
        found = dict(re.findall(r"(FOOTFALL_\w+)=(\S*)", text))
        assert found, stage
        with monkeypatch.context() as set_up:
            for key, value in found.items():
                set_up.setenv(key, value)
            path = tmp_path / "edge.toml"
            path.write_text('node = "n"\n[[sensor]]\nid = "s"\ndriver = "reference"\nport = "/dev/ttyUSB0"\n')
            settings = role.load(path if role is EdgeSettings else None)
            for key, value in found.items():
                assert str(_value(settings, key) or "") == value


def test_nothing_is_open_but_web_and_broker() -> None:
    """80, 443, 8883 and 8884, and each by the one service that it belongs to."""
    opened = {(name, port) for name, said in SERVICES.items() for port in said.get("ports", ())}

    assert opened == {
        ("mosquitto", "8883:8883"), ("mosquitto", "8884:8884"), ("caddy", "80:8080"), ("caddy", "443:8443"),
    }  # fmt: skip
    assert not any("expose" in said for said in SERVICES.values())


def test_the_database_is_reached_by_those_who_have_to_and_from_nowhere_else() -> None:
    """Its network leads nowhere, and neither the broker, which the world talks to, nor Caddy is in it."""
    internal = {name for name, said in DOCUMENT["networks"].items() if (said or {}).get("internal")}
    inside = {name for name, said in SERVICES.items() if "data" in said.get("networks", ())}

    assert SERVICES["database"]["networks"] == ["data"]
    assert internal == {"bus", "data", "watch", "web"}
    assert inside == {"database", "migrate", "ingest", "api", "dump", "publish", "backup", "grafana", "nodes"}


def test_who_meets_the_world_is_in_its_network_and_no_other_that_leads_out() -> None:
    """Broker and Caddy are met from outside, two have to get out; everybody else can do neither."""
    outside = {"edge", "front", "out"}
    met = {name: set(said.get("networks", ())) & outside for name, said in SERVICES.items()}

    assert {name: found for name, found in met.items() if found} == {
        "mosquitto": {"edge"}, "caddy": {"front"}, "alertmanager": {"out"}, "blackbox": {"out"},
    }  # fmt: skip


def test_each_volume_is_named_and_used() -> None:
    """Nothing is kept in a volume without a name, which nobody would find again."""
    used = {volume for said in SERVICES.values() for volume in volumes_of(said).values()}

    assert used == set(DOCUMENT["volumes"])


def test_only_what_is_meant_to_be_written_is(service: tuple[str, dict[str, Any]]) -> None:
    """Files of the machine are read-only everywhere, but for backups and for the tool that administers the broker."""
    name, said = service
    writable = {
        mount.split(":")[1]
        for mount in said.get("volumes", ())
        if mount[0] in "./" and "ro" not in mount.split(":")[-1].split(",")
    }

    accounts = {"/etc/mosquitto/footfall", "/etc/footfall/authority"}
    allowed = {"backup": {"/var/backups/footfall"}, "nodes": accounts, "authority": accounts}
    assert writable == allowed.get(name, set())


def test_each_file_of_the_repository_that_is_mounted_is_there(service: tuple[str, dict[str, Any]]) -> None:
    """What compose would make an empty folder of instead, without a word."""
    _, said = service
    for source in mounts_of(said).values():
        if source.startswith("../") or (source.endswith((".sh", ".conf")) and "made/" not in source):
            assert (COMPOSE / source).exists(), source
        else:
            assert source == "/" or source.split("/")[1] in ignored_names(), source


def ignored_names() -> set[str]:
    """What the city's own is beside compose.yaml, and is not committed."""
    return {line.strip("/") for line in (COMPOSE / ".gitignore").read_text("utf-8").splitlines() if line[0] == "/"}


# -- the images -------------------------------------------------------------------------------------------------------


def seen_by_the_build(path: str) -> bool:
    """Whether a path of the repository gets into the build, by .dockerignore: the last line that fits decides."""
    seen = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").replace("**/", "(.*/)?")
        pattern = re.sub(r"(?<![.)])\*", "[^/]*", pattern.replace(".", r"\.").replace(r"(\.*/)?", "(.*/)?"))
        if re.fullmatch(f"{pattern}(/.*)?", path):
            seen = line.startswith("!")
    return seen


def test_the_build_sees_what_the_wheel_is_made_of_and_nothing_else() -> None:
    """Packages, what builds them, the locks: and neither history, tests, nor what prepare.sh makes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = [f"{package}/__init__.py" for package in wheel["packages"]]
    wanted += [*wheel["force-include"], "pyproject.toml", "README.md", "LICENSE", "hatch_build.py", ".npmrc"]
    wanted += ["package.json", "package-lock.json", "tools/web_assets.py", "tools/web_entries/chart.js"]
    wanted += ["api/footfall_api/static/js/now.js", "requirements/server.txt", "requirements/node.txt"]

    assert [path for path in wanted if not seen_by_the_build(path)] == []
    unwanted = [
        ".git/config", "tests/conftest.py", "docs/api.md", "deploy/compose/.env", "deploy/compose/secrets/api-dsn",
        "deploy/compose/authority/ca.key", "deploy/Containerfile", "node_modules/x/y.js", "demo-data/postgres.password",
        "api/footfall_api/__pycache__/x.pyc", "api/footfall_api/static/vendor/chart.js", ".venv/bin/python",
    ]  # fmt: skip
    assert [path for path in unwanted if seen_by_the_build(path)] == []


def test_the_images_install_what_is_locked_and_by_hash_alone() -> None:
    """Every pip install wants hashes, or takes the wheel that was just built and nothing from outside."""
    instructions = CONTAINERFILE.replace("\\\n", " ")
    installs = re.findall(r"pip (?:--python \S+ )?install [^&\n]*", instructions)

    assert len(installs) >= 5
    for words in installs:
        assert "--require-hashes" in words or "--no-index --no-deps" in words or "--no-deps --no-index" in words, words
    for copied in re.findall(r"^COPY (requirements/.*) \S+$", instructions, re.MULTILINE):
        for lock in copied.split():
            assert (ROOT / lock).is_file(), lock
    assert "apt-get" not in instructions


def needed_by(package: str) -> set[str]:
    """The package and all that it needs, as installed here, which is what is locked."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name not in found:
            found.add(name)
            needs = map(Requirement, metadata.requires(name) or ())
            waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate()]
    return found


def test_what_builds_the_wheel_is_taken_out_of_the_lock_whole() -> None:
    """The Containerfile names what hatchling needs, no more and no less, and each of it is locked."""
    lock = (ROOT / "requirements" / "demo.txt").read_text("utf-8")
    build, programs = re.findall(r"wanted = /\^\(?([\w|-]+)\)?==/", CONTAINERFILE)

    assert set(build.split("|")) == needed_by("hatchling")
    for name in (*build.split("|"), programs):
        assert re.search(rf"^{name}==", lock, re.MULTILINE), name


def test_each_image_ends_as_a_user_with_a_check_of_its_health() -> None:
    """Whatever is built last in a stage that is run."""
    for stage in ("ingest", "backup", "api", "edge"):
        text = CONTAINERFILE.split(f" AS {stage}\n")[1].split("\nFROM ")[0]
        users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
        assert int(users[-1].partition(":")[0]) > 0
        assert "HEALTHCHECK" in text
        assert "org.opencontainers.image.title" in text


def test_variables_are_filled_in_as_compose_does() -> None:
    """Also where one is set to nothing, and where a dollar is meant."""
    told: Mapping[str, str] = {"A": "1", "EMPTY": ""}

    assert compose.filled("${A} ${B} ${B:-2} ${EMPTY:-3} $$A ${A:?no}", told) == "1  2 3 $A 1"
    with pytest.raises(UnsetError, match="B: say it"):
        compose.filled("${B:?say it}", told)


def test_the_publisher_answers_where_its_health_is_asked() -> None:
    """The port in [metrics] is that of the process that serves; a command has its own as an option."""
    publish = SERVICES["publish"]

    assert "--metrics-port=9104" in publish["command"]
    assert "127.0.0.1:9104/metrics" in publish["healthcheck"]["test"][-1]
    assert publish["environment"]["FOOTFALL_METRICS__HOST"] == "0.0.0.0"
