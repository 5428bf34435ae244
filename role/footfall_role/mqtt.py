"""A paho client, made the same way in every role that speaks MQTT."""

import ssl

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from footfall_role.settings import MqttSettings, SettingsError


def new_client(
    settings: MqttSettings,
    client_id: str,
    *,
    name: str | None = None,
    clean_session: bool = True,
    manual_ack: bool = False,
) -> Client:
    """A client with credentials and TLS set, not yet connected; reconnects wait 1 to 30 s.

    Where no user name is set the client logs in as `name`, or else with its id, because brokers may keep a queue only
    for named sessions (amqtt does).

    Raises:
        SettingsError: a certificate or key cannot be used; the message names the setting and the file.
    """
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=clean_session,
        protocol=MQTTv311,
        manual_ack=manual_ack,
    )
    client.username_pw_set(settings.username or name or client_id, settings.password.get_secret_value() or None)
    if settings.tls:
        client.tls_set_context(_context(settings))
    client.reconnect_delay_set(min_delay=1, max_delay=30)
    return client


def _context(settings: MqttSettings) -> ssl.SSLContext:
    # What ssl raises names no file.
    try:
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    except OSError as error:
        raise SettingsError(f"ca_file: {settings.ca_file}: {_why(error)}") from error
    if settings.cert_file:
        try:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        except OSError as error:
            files = " and ".join(f"{file}" for file in (settings.cert_file, settings.key_file) if file)
            raise SettingsError(f"cert_file, key_file: {files}: {_why(error)}") from error
    return context


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"is no certificate or key that can be used ({error.reason or error})"
    return f"cannot be read: {error.strerror or error}"


def hang_up(client: Client) -> None:
    """Leave the broker, end the thread of `client` and close everything it has open. It may connect again later.

    paho itself leaves the two sockets that wake its thread to `Client.__del__`. But a client whose callbacks lead back
    to it is garbage of which the collector finalises the parts in any order: the sockets before it, now and then, and
    complains that nobody had closed them, in the middle of something else.
    """
    client.disconnect()
    client.loop_stop()
    client._reset_sockets()  # noqa: SLF001  # what __del__ calls; paho has no public way
