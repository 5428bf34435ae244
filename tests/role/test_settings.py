"""Settings: file and environment, sentences for what cannot be used, nothing secret shown."""

import tomllib
from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from footfall_role.settings import (
    MqttSettings,
    RoleSettings,
    Section,
    SettingsError,
    print_config,
    secret_variable,
)


class Line(Section):
    name: str
    length_m: float = Field(10.0, gt=0)


class Example(RoleSettings):
    node: str = "box"
    operator_token: SecretStr = SecretStr("")
    mqtt: MqttSettings = MqttSettings()
    line: tuple[Line, ...] = ()


def write(folder: Path, text: str) -> Path:
    path = folder / "example.toml"
    path.write_text(text)
    return path


def test_environment_wins_over_file_and_file_over_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value comes from the environment, else the file, else the default."""
    path = write(tmp_path, 'node = "from-file"\n[mqtt]\nhost = "from-file"\nport = 1884\n')
    monkeypatch.setenv("FOOTFALL_MQTT__HOST", "from-environment")

    settings = Example.load(path)

    assert (settings.node, settings.mqtt.host, settings.mqtt.port) == ("from-file", "from-environment", 1884)
    assert settings.mqtt.keepalive_s == 30


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nodes = 1\n", ["nodes", "not a setting"]),
        ("[mqtt]\nport = 70000\n", ["mqtt.port", "65535", "70000"]),
        ("[[line]]\nlength_m = 3\n", ["line.0.name", "missing"]),
        ("[mqtt]\nhosst = 1\n", ["mqtt.hosst", "not a setting"]),
        ("node = \n", ["not valid TOML", "line 1"]),
    ],
)
def test_a_fault_in_the_file_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    """The message says in which file, which setting, what it has and what would be right."""
    path = write(tmp_path, text)

    with pytest.raises(SettingsError) as caught:
        Example.load(path)

    assert str(path) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_every_fault_has_its_line(tmp_path: Path) -> None:
    """Two faults are two lines: nobody corrects them one start at a time."""
    path = write(tmp_path, "nodes = 1\n[mqtt]\nport = 0\n")

    with pytest.raises(SettingsError) as caught:
        Example.load(path)

    assert len(str(caught.value).splitlines()) == 2


def test_a_fault_in_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who set a variable wrongly reads its name, not that of a file."""
    monkeypatch.setenv("FOOTFALL_MQTT__PORT", "many")

    with pytest.raises(SettingsError, match=r"\$FOOTFALL_MQTT__PORT"):
        Example.load(None)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """A path that is not there is named, with the reason."""
    with pytest.raises(SettingsError, match=r"nowhere\.toml: cannot be read: No such file"):
        Example.load(tmp_path / "nowhere.toml")


def test_printed_settings_are_toml_and_hide_secrets(tmp_path: Path) -> None:
    """What --print-config shows can be read back and sent to somebody else."""
    path = write(tmp_path, '[mqtt]\npassword = "s3cret"\n[[line]]\nname = "Nord \\"1\\""\n')

    text = print_config(Example.load(path))

    assert "s3cret" not in text
    table = tomllib.loads(text)
    assert table["mqtt"]["password"] == "********"
    assert table["line"] == [{"name": 'Nord "1"', "length_m": 10.0}]


@pytest.mark.parametrize("text", ["[mqtt]\npassword = 271828\n", "operator_token = 271828\n"])
def test_a_refused_secret_is_not_shown(tmp_path: Path, text: str) -> None:
    """A password or token of the wrong type is refused without being repeated."""
    path = write(tmp_path, text)

    with pytest.raises(SettingsError) as caught:
        Example.load(path)

    assert "271828" not in str(caught.value)


def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable with _FILE names it, in tables too; the line's end is no part of it; it wins over the TOML file."""
    path = write(tmp_path, 'operator_token = "in the open"\n')
    for name, secret in (("TOKEN", "from a file\n"), ("PASSWORD", " blanks belong to it \r\n")):
        (tmp_path / name).write_text(secret, newline="")
    monkeypatch.setenv("FOOTFALL_OPERATOR_TOKEN_FILE", str(tmp_path / "TOKEN"))
    monkeypatch.setenv("FOOTFALL_MQTT__PASSWORD_FILE", str(tmp_path / "PASSWORD"))
    monkeypatch.setenv("FOOTFALL_MQTT__CA_FILE", "/etc/ca.pem")

    settings = Example.load(path)

    assert settings.operator_token.get_secret_value() == "from a file"
    assert settings.mqtt.password.get_secret_value() == " blanks belong to it "
    assert settings.mqtt.ca_file == Path("/etc/ca.pem"), "a setting whose own name ends so is still itself"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["cannot be read", "No such file"]),
        (b"\n", ["is empty", "leave the variable out"]),
        (b"\xff\xfe", ["not UTF-8"]),
    ],
)
def test_the_file_of_a_secret_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, words: list[str]
) -> None:
    """A secret that is not there must not turn into none at all."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("FOOTFALL_MQTT__PASSWORD_FILE", str(path))

    with pytest.raises(SettingsError) as caught:
        Example.load(None)

    for word in ["$FOOTFALL_MQTT__PASSWORD_FILE", str(path), *words]:
        assert word in str(caught.value)


def test_a_secret_is_given_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two nobody could say which is in force; neither is shown."""
    (tmp_path / "secret").write_text("first-secret")
    monkeypatch.setenv("FOOTFALL_MQTT__PASSWORD_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("FOOTFALL_MQTT__PASSWORD", "second-secret")

    with pytest.raises(SettingsError, match="both set") as caught:
        Example.load(None)

    assert "-secret" not in str(caught.value)


def test_only_secrets_have_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another setting with _FILE is the slip that it looks like."""
    monkeypatch.setenv("FOOTFALL_MQTT__HOST_FILE", str(tmp_path))

    with pytest.raises(SettingsError, match="host_file is not a setting"):
        Example.load(None)


def test_a_secret_of_a_command_may_stand_in_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the variable, in the file that the other one names, in neither; in both is refused, and so is no file."""
    path = tmp_path / "token"
    path.write_text("from a file\n")
    assert secret_variable("FOOTFALL_TOKEN") == ""
    monkeypatch.setenv("FOOTFALL_TOKEN_FILE", str(path))
    assert secret_variable("FOOTFALL_TOKEN") == "from a file"
    monkeypatch.setenv("FOOTFALL_TOKEN", "in the open")
    with pytest.raises(SettingsError, match="both set"):
        secret_variable("FOOTFALL_TOKEN")
    monkeypatch.delenv("FOOTFALL_TOKEN_FILE")
    assert secret_variable("FOOTFALL_TOKEN") == "in the open"

    monkeypatch.setenv("FOOTFALL_OTHER_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="cannot be read"):
        secret_variable("FOOTFALL_OTHER")
