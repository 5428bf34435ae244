"""What amqtt does wrong when a persistent session is taken over, put right by a plugin in its configuration.

A client that comes with the name of one that is still connected takes over its session. amqtt 0.12 then ends the former
connection and with it marks the session, which both share, as disconnected: it answers the new client, takes its
subscriptions and delivers nothing to it for as long as it stays. It also takes a client for connected that has been
dead for up to five seconds: those it waits for acknowledgements of the retained messages it went on sending. An
aggregator that is killed soon after its start, and started again, would be deaf for ever.

Only amqtt imports this module.
"""

from typing import Any, Final

from amqtt.plugins.base import BasePlugin

_CONNECTIONS: Final = "footfall_demo.connections"


class SharedSessions(BasePlugin):  # type: ignore[misc]  # amqtt ships no types
    """A session is connected as long as one of its connections is."""

    async def on_broker_client_connected(self, *, client_id: str, client_session: Any) -> None:  # noqa: ARG002
        """A connection has this session now."""
        self._count(client_session, 1)

    async def on_broker_client_disconnected(self, *, client_id: str, client_session: Any) -> None:  # noqa: ARG002
        """A connection has ended; another one may have the session."""
        self._count(client_session, -1)

    def _count(self, session: Any, change: int) -> None:
        number = session.attributes[_CONNECTIONS] = session.attributes.get(_CONNECTIONS, 0) + change
        if number and not session.transitions.is_connected():
            session.transitions.connect()
