"""What has to be done at the running broker when accounts change: tell it to reload, and end connections.

mosquitto looks at passwords again when it reloads and ends the connections of those that are gone. It does not look at
certificates again: a connection that was made with one that is revoked meanwhile stays. But a broker ends a connection
when another client with the same id comes, and a node's id is its account. So whoever may log in where footfall's own
processes do can end it, and nobody else can. For that there is a visitor: an account with a password of chance that is
there for a moment and may neither read nor write anything. It is not the account of ``footfall-ingest``, whose own
session would go if the broker made client ids of names on that listener too.
"""

import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import SecretStr

from footfall_ingest import nodes_files, nodes_folder
from footfall_ingest.commands import RefusedError
from footfall_ingest.nodes_folder import FOR_BROKER, SERVICE_PASSWORDS, Ids
from footfall_ingest.nodes_rules import hashed, new_password
from footfall_role.mqtt import hang_up, new_client
from footfall_role.settings import MqttSettings

VISITOR: Final = "footfall-nodes"

_RELOAD_S: Final = 60
_ANSWER_S: Final = 15.0
_AGAIN_S: Final = 0.2


def reload(command: Sequence[str]) -> None:
    """Run `command`, which tells the broker to read its files again.

    Raises:
        RefusedError: it did not end well. The files are as they are; the broker does not know them.
    """
    said = f"the files are written, but {' '.join(command)}"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_RELOAD_S, check=False)  # noqa: S603  # the administrator's
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RefusedError(f"{said} failed: {error}; the broker works on with what it had read before") from error
    if done.returncode:
        reason = (done.stderr or done.stdout).strip() or f"status {done.returncode}"
        raise RefusedError(f"{said} failed: {reason}; the broker works on with what it had read before")


def visitor(folder: Path, owner: Ids | None, mqtt: MqttSettings) -> MqttSettings:
    """Write the visitor into the file of accounts, and return the settings with which it logs in after a reload.

    Raises:
        RefusedError: the file cannot be written.
    """
    path = folder / SERVICE_PASSWORDS
    password = new_password()
    text = nodes_files.with_password(nodes_folder.read(path), VISITOR, hashed(password))
    nodes_folder.replace(path, text, owner, FOR_BROKER)
    login = {"username": VISITOR, "password": SecretStr(password), "cert_file": None, "key_file": None}
    return mqtt.model_copy(update=login)


def forget_visitor(folder: Path, owner: Ids | None) -> None:
    """Take the visitor out of the file.

    Raises:
        RefusedError: it cannot be written.
    """
    path = folder / SERVICE_PASSWORDS
    nodes_folder.replace(path, nodes_files.without_password(nodes_folder.read(path), VISITOR), owner, FOR_BROKER)


def end_connection(mqtt: MqttSettings, account: str) -> str | None:
    """Throw `account` out of the broker, if it is connected; its last will is published if it may still write it.

    Returns:
        Why that could not be done; None if whoever was connected as `account` no longer is.
    """
    answers: list[ReasonCode] = []
    answered = threading.Event()

    def connected(
        _client: Client, _userdata: object, _flags: ConnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        answers.append(reason)
        answered.set()

    deadline = time.monotonic() + _ANSWER_S
    while True:
        answered.clear()
        client = new_client(mqtt, account)
        client.on_connect = connected
        try:
            client.connect(mqtt.host, mqtt.port, mqtt.keepalive_s)
            client.loop_start()
            answered.wait(max(0.0, deadline - time.monotonic()))
        except (OSError, ValueError) as error:
            return f"{mqtt.host}:{mqtt.port} does not answer: {error}"
        finally:
            hang_up(client)
        if answers and not answers[-1].is_failure:
            return None
        if time.monotonic() + _AGAIN_S > deadline:
            why = answers[-1] if answers else "no answer"
            return f"{mqtt.host}:{mqtt.port} does not let us in ({why})"
        time.sleep(_AGAIN_S)  # it was told to reload, and has not yet
