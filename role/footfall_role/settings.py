"""Typed settings of a role: one TOML file and ``FOOTFALL_*`` variables, checked before anything connects.

The environment wins over the file, the file over the defaults. Nested keys are joined with two underscores:
``FOOTFALL_MQTT__HOST=broker.example`` is ``host`` in ``[mqtt]``. An unknown key is refused, because a misspelt setting
that is silently ignored is found months later.

A secret may stand in a file of its own: ``FOOTFALL_MQTT__PASSWORD_FILE`` names the file with ``password`` in
``[mqtt]``, which is how systemd's credentials and the secrets of containers arrive. Only secrets have such a variable.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

ENV_PREFIX = "FOOTFALL_"
_NESTED: Final = "__"
_FROM_FILE: Final = "_FILE"
_MASK = "********"

WRONG_SETTINGS: Final = 78
"""Exit status of a service whose settings are wrong, so that the next start would fail as well (EX_CONFIG)."""


class SettingsError(Exception):
    """Settings that cannot be used; one line for each fault: which setting, its value, what would be right."""


class Section(BaseModel):
    """A table of the TOML file. Closed: a key it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MqttSettings(Section):
    """Where the broker is and how to log in."""

    host: str = Field("127.0.0.1", description="host name or address of the broker")
    port: int = Field(1883, ge=1, le=65535, description="its port; 8883 is usual with TLS")
    username: str = Field("", description="empty: the client's own id")
    password: SecretStr = Field(SecretStr(""), description="better given as FOOTFALL_MQTT__PASSWORD")
    tls: bool = Field(False, description="encrypt and check the broker's certificate")
    ca_file: Path | None = Field(None, description="certificate authority; none: the system's")
    cert_file: Path | None = Field(None, description="client certificate, if the broker wants one")
    key_file: Path | None = Field(None, description="its key")
    keepalive_s: int = Field(30, ge=5, le=3600, description="seconds between signs of life")


class MetricsSettings(Section):
    """Where Prometheus may ask for ``/metrics``."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int | None = Field(None, ge=1, le=65535, description="none: no metrics port")


class RoleSettings(BaseSettings):
    """Base of each role's settings: the file, the environment, the logs."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter=_NESTED, extra="forbid", frozen=True, env_ignore_empty=True
    )

    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR")
    log_format: Literal["text", "json"] = Field("text", description="text for people, json for Loki and its like")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # no hidden files
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the file, whose content arrives as init values."""
        if isinstance(env_settings, EnvSettingsSource):
            env_settings.env_vars = _with_secrets(env_settings.env_vars, settings_cls)
        return env_settings, init_settings

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """The settings in force.

        Raises:
            SettingsError: no such file, not TOML, a value or the file of a secret that cannot be used. One line for
                each fault.
        """
        try:
            return cls(**_read(path))
        except ValidationError as error:
            where = str(path) if path else "the environment"
            raise SettingsError("\n".join(_sentences(error, where))) from error


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error


def _with_secrets(variables: Mapping[str, str | None], settings: type[BaseModel]) -> dict[str, str | None]:
    """The variables, where those that name a secret's file have given way to that of the secret itself.

    Raises:
        SettingsError: a file cannot be read or is empty, or the secret is given twice.
    """
    found = dict(variables)
    # Names are small letters: pydantic compares them so.
    for name in _secrets(settings, ENV_PREFIX.lower()):
        path = found.pop(name + _FROM_FILE.lower(), None)
        if path is None:
            continue
        variable = name.upper()
        if found.get(name):
            raise SettingsError(f"${variable} and ${variable}{_FROM_FILE} are both set; one of them is enough")
        found[name] = _read_secret(f"${variable}{_FROM_FILE}", Path(path))
    return found


def secret_variable(name: str) -> str:
    """The secret in the variable `name`, or in the file that ``name_FILE`` names; empty if neither is set.

    For a secret that belongs to one command and is no setting of a role.

    Raises:
        SettingsError: the file cannot be read or is empty, or both are set.
    """
    path = os.environ.get(name + _FROM_FILE)
    if not path:
        return os.environ.get(name, "")
    if os.environ.get(name):
        raise SettingsError(f"${name} and ${name}{_FROM_FILE} are both set; one of them is enough")
    return _read_secret(f"${name}{_FROM_FILE}", Path(path))


def _secrets(settings: type[BaseModel], prefix: str) -> Iterator[str]:
    """The variables of all secrets among the settings, those in their tables included."""
    for name, field in settings.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        # A connection URL may be plain text, because it is shown with its password masked; it is a secret all the same.
        if SecretStr in kinds or (str in kinds and _is_secret(name)):
            yield prefix + name.lower()
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _secrets(kind, prefix + name.lower() + _NESTED)


def _read_secret(variable: str, path: Path) -> str:
    try:
        secret = path.read_text("utf-8").strip("\r\n")
    except OSError as error:
        raise SettingsError(f"{variable}: {path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{variable}: {path}: not UTF-8 text") from error
    if not secret:
        raise SettingsError(f"{variable}: {path}: is empty; write the secret into it, or leave the variable out")
    return secret


def _sentences(error: ValidationError, where: str) -> list[str]:
    lines = []
    for fault in own_faults(error):
        place = ".".join(str(part) for part in fault["loc"]) or "settings"
        variable = ENV_PREFIX + "__".join(str(part) for part in fault["loc"]).upper()
        source = f"${variable}" if variable in os.environ else where
        lines.append(f"{source}: {sentence_of(fault, place)}")
    return lines


def sentence_of(fault: ErrorDetails, place: str, what: str = "a setting") -> str:
    """What is wrong at `place` and, unless it is a secret or too long to show, what stands there now.

    `what` is something that an unknown name is not.
    """
    given = fault.get("input")
    if fault["type"] == "extra_forbidden":
        return f"{place} is not {what} (it has {given!r}); remove it or correct its name"
    if fault["type"] == "missing":
        return f"{place} is missing"
    value = "" if isinstance(given, dict | list | SecretStr) or _is_secret(place) else f" (it is {given!r})"
    message = fault["msg"].removeprefix("Value error, ") + value
    return f"{place}: {message}" if place else message


def own_faults(error: ValidationError) -> list[ErrorDetails]:
    """The faults in `error` without those that only follow from others.

    Of a table in which something is wrong pydantic says besides that the list around it is too short, or that a default
    which depends on it cannot be worked out.
    """
    faults = [fault for fault in error.errors(include_url=False) if fault["type"] != "default_factory_not_called"]
    places = [fault["loc"] for fault in faults]
    return [
        fault
        for fault in faults
        if fault["type"] != "too_short"
        or not any(len(place) > len(fault["loc"]) and place[: len(fault["loc"])] == fault["loc"] for place in places)
    ]


def _is_secret(place: str) -> bool:
    return any(word in place for word in ("password", "token", "secret", "dsn"))


def print_config(settings: BaseModel) -> str:
    """The settings in force as TOML, secrets masked, so that the output can be shown to others."""
    return "\n".join(_toml(settings.model_dump(mode="python"), ())) + "\n"


def _toml(table: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"{key} = {_value(value)}" for key, value in table.items() if not _is_table(value)]
    lines = [line if not line.endswith("= None") else f"# {line.removesuffix(' = None')} is not set" for line in lines]
    for key, value in table.items():
        name = (*path, key)
        if isinstance(value, dict):
            lines += ["", f"[{'.'.join(name)}]", *_toml(value, name)]
        elif _is_table(value):
            for item in value:
                lines += ["", f"[[{'.'.join(name)}]]", *_toml(item, name)]
    return lines


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(item, dict) for item in value)
    )


def _value(value: object) -> str:
    if value is None:
        return "None"
    if isinstance(value, SecretStr):
        return f'"{_MASK}"' if value.get_secret_value() else '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
