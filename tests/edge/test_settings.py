"""edge.toml: what can be used is used, and what cannot is refused with a sentence before anything is opened."""

import re
import tomllib
from pathlib import Path

import pytest

from footfall_edge.settings import EdgeSettings
from footfall_role.settings import SettingsError, print_config

SAMPLE = Path(__file__).parents[2] / "deploy" / "edge.toml.example"

GOOD = """
node = "box-1"
clock = "system"
[outbox]
path = "/var/lib/footfall/outbox.sqlite"
[[sensor]]
id = "markt-1"
driver = "reference"
port = "/dev/ttyUSB0"
"""


def load(tmp_path: Path, text: str) -> EdgeSettings:
    """The settings that `text` makes."""
    file = tmp_path / "edge.toml"
    file.write_text(text)
    return EdgeSettings.load(file)


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    """A node, an outbox and a sensor are enough; the rest has defaults."""
    settings = load(tmp_path, GOOD)

    assert (settings.report.slot_s, settings.report.every_s) == (10, 10)
    assert (settings.outbox.max_mb, settings.outbox.keep_committed_days) == (512, 14)
    assert settings.stop_wait_s == 5
    assert settings.sensor[0].baud is None


def test_the_sample_can_be_used() -> None:
    """The annotated sample is valid as it stands."""
    settings = EdgeSettings.load(SAMPLE)

    assert settings.node == "jena-nord"
    assert [sensor.id for sensor in settings.sensor] == ["johannisstrasse-1", "wagnergasse-1"]


def test_the_sample_shows_the_defaults(tmp_path: Path) -> None:
    """With every commented setting switched on, the sample still loads, and each of those has its default value."""
    text = SAMPLE.read_text()
    shown = re.sub(r"^# ([a-z_]+ = .*)$", r"\1", text, flags=re.MULTILINE)
    for key in ("ca_file", "cert_file", "key_file", "port = 9101"):  # examples: there is no default to show
        shown = re.sub(rf"^{key}.*$", "", shown, flags=re.MULTILINE)
    switched_on = load(tmp_path, shown).model_dump()
    plain = EdgeSettings.load(SAMPLE).model_dump()
    switched_on["sensor"][0].update(baud=None, parity=None)

    assert len(tomllib.loads(shown)["outbox"]) == 3
    assert switched_on == plain


def test_the_samples_other_sensors_can_be_used(tmp_path: Path) -> None:
    """The examples at its end, with their marks of a comment taken away, are sensors that load as they say."""
    plain, heading, others = SAMPLE.read_text().partition("# Other sensors")
    shown = plain + heading + re.sub(r"^#   (.*)$", r"\1", others, flags=re.MULTILINE)
    radar, counter = load(tmp_path, shown).model_dump()["sensor"][2:]

    assert (radar["driver"], radar["mounting"]["height_m"], len(radar["line"])) == ("ld2450", 2.5, 1)
    assert (counter["driver"], counter["slave"], counter["out"]["register"]) == ("modbus", 3, 2)


def test_the_sample_names_every_setting() -> None:
    """A setting that is not in the sample is one that nobody finds."""
    text = SAMPLE.read_text()
    dump = EdgeSettings.load(SAMPLE).model_dump()
    names = [name for name, value in dump.items() if not isinstance(value, dict | tuple)]
    for table in ("mqtt", "outbox", "report", "metrics"):
        names += dump[table]
    names += dump["sensor"][0]

    assert [name for name in names if not re.search(rf"^(# )?{name} =", text, re.MULTILINE)] == []


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FOOTFALL_ variable is stronger than the file; the password never shows."""
    monkeypatch.setenv("FOOTFALL_MQTT__HOST", "broker.example")
    monkeypatch.setenv("FOOTFALL_MQTT__PASSWORD", "open sesame")
    settings = load(tmp_path, GOOD)

    assert settings.mqtt.host == "broker.example"
    assert settings.mqtt.password.get_secret_value() == "open sesame"
    assert "sesame" not in print_config(settings)


def test_printed_settings_are_settings(tmp_path: Path) -> None:
    """What --print-config shows can be used as a file and means the same."""
    settings = EdgeSettings.load(SAMPLE)

    assert load(tmp_path, print_config(settings)) == settings


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('node = "box-1"', 'node = "Box 1"'), "node: expected 1 to 63 of a-z, 0-9"),
        (('id = "markt-1"', 'id = "-markt"'), "sensor.0.id: expected 1 to 63 of a-z, 0-9"),
        (("reference", "modbuss"), "sensor.0.driver: there is no such driver; there are: ld2450"),
        (("[outbox]", "[report]\nslot_s = 7\n[outbox]"), "report.slot_s: a slot divides a minute: 1, 2, 3"),
        (("[outbox]", "[report]\nevery_s = 25\n[outbox]"), "every_s = 25 is not a multiple of slot_s = 10"),
        (('clock = "system"', 'clock = "sundial"'), "clock: Input should be 'system' or 'ntp'"),
        (("[outbox]", "[outbox]\nmax_gb = 1"), "outbox.max_gb is not a setting"),
        (('path = "/var/lib/footfall/outbox.sqlite"', ""), "outbox.path is missing"),
        (('port = "/dev/ttyUSB0"', ""), "sensor.0.port is missing"),
        (('port = "/dev/ttyUSB0"', 'port = "/dev/ttyUSB0"\nbaud = 1'), "sensor.0.baud: Input should be greater than"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    """The message says where the fault is and what would be right."""
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, GOOD.replace(*change))

    assert sentence in str(refused.value)
    assert "edge.toml" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1, "one fault, one line"


@pytest.mark.parametrize(("sensors", "sentence"), [("", "sensor is missing"), ("sensor = []", "has no [[sensor]]")])
def test_an_edge_without_sensors_is_no_edge(tmp_path: Path, sensors: str, sentence: str) -> None:
    """At least one sensor is asked for."""
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, f"{sensors}\n{GOOD[: GOOD.index('[[sensor]]')]}")

    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ('id = "markt-1"\ndriver = "reference"\nport = "/dev/ttyUSB1"', "[[sensor]] id markt-1 is there twice"),
        ('id = "markt-2"\ndriver = "reference"\nport = "/dev/ttyUSB0"', "[[sensor]] port /dev/ttyUSB0 is there twice"),
    ],
)
def test_two_sensors_share_nothing(tmp_path: Path, second: str, sentence: str) -> None:
    """Neither a name nor a port is given twice."""
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, f"{GOOD}[[sensor]]\n{second}\n")

    assert sentence in str(refused.value)


@pytest.mark.parametrize("command_port", ["/dev/ttyUSB0", "/dev/ttyUSB7"])
def test_a_port_is_used_once_whatever_for(tmp_path: Path, command_port: str) -> None:
    """A radar's command port is neither its own line nor that of another sensor: a port opens once."""
    radar = """
[[sensor]]
id = "radar"
driver = "ti-people"
port = "/dev/ttyUSB7"
config_file = "/etc/radar.cfg"
command_port = """
    assert len(load(tmp_path, f'{GOOD}{radar}"/dev/ttyUSB8"').sensor) == 2

    with pytest.raises(SettingsError, match=rf"\[\[sensor\]\] port {command_port} is there twice"):
        load(tmp_path, f'{GOOD}{radar}"{command_port}"')
