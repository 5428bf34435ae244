"""bridge.toml: what can be used is used, and what cannot is refused with a sentence before anything is opened."""

import re
import tomllib
from pathlib import Path

import pytest

from footfall_edge.lorawan.payloads import Make
from footfall_edge.lorawan.settings import BridgeSettings
from footfall_role.settings import SettingsError, print_config

SAMPLE = Path(__file__).parents[3] / "deploy" / "bridge.toml.example"

GOOD = """
node = "lorawan-1"
clock = "system"
[outbox]
path = "/var/lib/footfall/outbox.sqlite"
[network]
kind = "chirpstack"
[[device]]
id = "markt-1"
dev_eui = "0004A30B-001C0530"
make = "milesight-vs133"
"""


def load(tmp_path: Path, text: str) -> BridgeSettings:
    """The settings that `text` makes."""
    file = tmp_path / "bridge.toml"
    file.write_text(text)
    return BridgeSettings.load(file)


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    """A node, an outbox, a network server and a device are enough; the rest has defaults."""
    settings = load(tmp_path, GOOD)
    (device,) = settings.device

    assert settings.network.subscription == "application/+/device/+/event/up"
    assert settings.client_id == "footfall-bridge-lorawan-1"
    assert device.dev_eui == "0004a30b001c0530"
    assert (device.line, device.reversed, device.most_per_s) == (1, False, 10.0)
    assert (device.interval_s, device.silent_s) == (600, 1800)


def test_what_is_set_is_in_force(tmp_path: Path) -> None:
    """How often a device reports says when it is silent; the rest is in force as it stands there."""
    text = GOOD.replace('kind = "chirpstack"', 'kind = "tts"\nusername = "a@ttn"\ntopic = "x/#"\nclient_id = "me"')
    settings = load(tmp_path, text + "interval_s = 86400\nline = 4\nreversed = true\nmost_per_s = 2.5\n")
    (device,) = settings.device
    set_up = device.set_up

    assert (settings.network.subscription, settings.client_id) == ("x/#", "me")
    assert device.silent_s == 3 * 86400
    assert (set_up.dev_eui, set_up.make, set_up.line) == ("0004a30b001c0530", Make.VS133, 4)
    assert (set_up.reversed, set_up.most_per_s) == (True, 2.5)
    assert load(tmp_path, GOOD + "silent_s = 90\n").device[0].silent_s == 90


def test_the_sample_can_be_used() -> None:
    """The annotated sample is valid as it stands."""
    settings = BridgeSettings.load(SAMPLE)

    assert settings.node == "jena-lorawan"
    assert [device.id for device in settings.device] == ["saalstrasse-1", "rathaus-nord", "rathaus-sued"]


def test_the_sample_shows_the_defaults(tmp_path: Path) -> None:
    """With every commented setting switched on, the sample still loads, and each of those has its default value."""
    shown = re.sub(r"^# ([a-z_]+ = .*)$", r"\1", SAMPLE.read_text(), flags=re.MULTILINE)
    for key in ("ca_file", "cert_file", "key_file", "port = 9101"):  # examples: there is no default to show
        shown = re.sub(rf"^{key}.*$", "", shown, flags=re.MULTILINE)

    assert len(tomllib.loads(shown)["device"][0]) == 8
    assert load(tmp_path, shown) == BridgeSettings.load(SAMPLE)


def test_the_sample_names_every_setting() -> None:
    """A setting that is not in the sample is one that nobody finds."""
    text = SAMPLE.read_text()
    dump = BridgeSettings.load(SAMPLE).model_dump()
    names = [name for name, value in dump.items() if not isinstance(value, dict | tuple)]
    for table in ("network", "mqtt", "outbox", "report", "metrics"):
        names += dump[table]
    names += dump["device"][0]

    assert [name for name in names if not re.search(rf"^(# )?{name} =", text, re.MULTILINE)] == []


def test_the_sample_names_every_make() -> None:
    """The makes stand there, abbreviated where they are of one maker."""
    text = SAMPLE.read_text()

    assert [make for make in Make if make not in text and f"-{make.rpartition('-')[2]}" not in text] == []


def test_printed_settings_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What --print-config shows can be used as a file and means the same; passwords never show."""
    assert load(tmp_path, print_config(BridgeSettings.load(SAMPLE))) == BridgeSettings.load(SAMPLE)
    monkeypatch.setenv("FOOTFALL_NETWORK__PASSWORD", "open sesame")
    settings = load(tmp_path, GOOD)

    assert settings.network.password.get_secret_value() == "open sesame"
    assert "sesame" not in print_config(settings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('id = "markt-1"', 'id = "Markt"'), "device.0.id: expected 1 to 63 of a-z, 0-9"),
        (("0004A30B-001C0530", "0004A30B-001C05"), "device.0.dev_eui: expected the DevEUI, 16 hexadecimal digits"),
        (('"0004A30B-001C0530"', "4"), "device.0.dev_eui: Input should be a valid string"),
        (("milesight-vs133", "milesight-vs134"), "device.0.make: Input should be 'parametric-pcr2', 'milesight-vs121'"),
        (('make = "milesight-vs133"', 'make = "parametric-pcr2"\nline = 2'), "line = 2; parametric-pcr2 has 1"),
        (("[[device]]", "[[device]]\ninterval_s = 5"), "device.0.interval_s: Input should be greater than or equal"),
        (("[[device]]", '[[device]]\ninterval_s = "often"'), "device.0.interval_s: Input should be a valid integer"),
        (("[[device]]", "[[device]]\nmost_per_s = 0"), "device.0.most_per_s: Input should be greater than 0"),
        (("[[device]]", "[[device]]\nbaud = 9600"), "device.0.baud is not a setting"),
        (('kind = "chirpstack"', ""), "network.kind is missing"),
        (('kind = "chirpstack"', 'kind = "loriot"'), "network.kind: Input should be 'chirpstack' or 'tts'"),
        (('kind = "chirpstack"', 'kind = "tts"'), 'kind = "tts" needs username: the application, as in "passanten@'),
        (("[network]", "[[sensor]]\nid = 'x'\n[network]"), "sensor is not a setting"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    """The message says where the fault is and what would be right."""
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, GOOD.replace(*change))

    assert sentence in str(refused.value)
    assert "bridge.toml" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1, "one fault, one line"


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ('id = "markt-1"\ndev_eui = "24e124714b430042"\nmake = "imbuildings"', "[[device]] id markt-1 is there twice"),
        ('id = "markt-2"\ndev_eui = "0004a30b001c0530"\nmake = "milesight-vs133"', "0004a30b001c0530 line 1 is there"),
        (
            'id = "markt-2"\ndev_eui = "0004a30b001c0530"\nline = 2\nmake = "milesight-vs135"',
            "[[device]] 0004a30b001c0530 is of two makes",
        ),
    ],
)
def test_two_sensors_are_two(tmp_path: Path, second: str, sentence: str) -> None:
    """Neither a name nor a line of a device is given twice, and a device is one thing. Two lines of it are fine."""
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, f"{GOOD}[[device]]\n{second}\n")
    fine = load(
        tmp_path, f'{GOOD}[[device]]\nid = "markt-2"\ndev_eui = "0004a30b001c0530"\nmake = "milesight-vs133"\nline = 2'
    )

    assert sentence in str(refused.value)
    assert len(fine.device) == 2


def test_a_bridge_without_devices_is_none(tmp_path: Path) -> None:
    """At least one is asked for."""
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, f"device = []\n{GOOD[: GOOD.index('[[device]]')]}")

    assert "has no [[device]]" in str(refused.value)
