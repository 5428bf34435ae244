"""Does the broker deliver to a shared subscription? A message of our own has to come back before we rely on it.

A broker may grant ``$share/GROUP/FILTER`` and take it for an ordinary filter, on which nothing is ever published (amqtt
does): several aggregators would all be connected, and none would hear anything. So each member, on each connection,
first talks to itself on two topics that nobody else knows: to one it has subscribed plainly, to the other in a group
in which it is alone. It publishes on both, the shared one first:

    the shared copy is back    the broker delivers; the member subscribes to the counts
    only the plain one is      the broker has handled both, so it grants shared subscriptions and does not deliver them
    neither is                 the broker or the network is slow, or its rules forbid the topic: nothing is known yet

Only the second line convicts the broker, so one that is slow is never taken for one that cannot. And a broker that has
delivered to this process before is given longer: it may be starting, or one of several that find each other again.

Pure: times are monotonic seconds that the caller gives.
"""

from collections.abc import Sequence
from typing import Final
from uuid import uuid4

from footfall_contract import topics

ROUND_S: Final = 2.0
"""So often the two messages are published while they have not come back."""
VERDICT_S: Final = 5.0
"""So long after the plain copy the shared one may come. Both were handed to the broker together."""
PATIENCE_S: Final = 60.0
"""The same for a broker that delivered before."""
SILENCE_S: Final = 10.0
"""After so long without either copy it is said that nothing comes, and then each time that this doubles."""

_SHARED, _PLAIN = 0, 1


class Probe:
    """The talk of one connection with itself."""

    def __init__(self, group: str, now_s: float, *, proven_before: bool = False) -> None:
        name = uuid4().hex
        self._topics = (topics.probe(f"{name}-shared"), topics.probe(f"{name}-plain"))
        self.filters: Sequence[str] = (topics.shared(f"{group}-probe-{name}", self._topics[_SHARED]), self._topics[1])
        """What to subscribe to, in this order."""
        self._patience_s = PATIENCE_S if proven_before else VERDICT_S
        self._refusal_s = PATIENCE_S if proven_before else 0.0
        self._begun_s = now_s
        self._next_s: float | None = None
        self._plain_s: float | None = None
        self._refused_s: float | None = None
        self._silence_s = SILENCE_S
        self.delivered = False
        """Whether the shared copy has come back."""

    def granted(self, granted: Sequence[bool], now_s: float) -> None:
        """The broker's answer to the subscription, filter by filter."""
        if all(granted):
            self._refused_s = None
        elif self._refused_s is None:
            self._refused_s = now_s
        self._next_s = now_s if self._refused_s is None else now_s + ROUND_S

    def heard(self, topic: str, now_s: float) -> None:
        """A message came; it may be one of another connection's probe."""
        if topic == self._topics[_SHARED]:
            self.delivered = True
        elif topic == self._topics[_PLAIN] and self._plain_s is None:
            self._plain_s = now_s

    def to_subscribe(self, now_s: float) -> Sequence[str]:
        """What was refused and is to be asked for again now."""
        if self._refused_s is None or not self._is_due(now_s):
            return ()
        self._next_s = None  # until the answer
        return self.filters

    def to_publish(self, now_s: float) -> Sequence[str]:
        """The topics to publish on now, in this order."""
        if self.delivered or self._refused_s is not None or not self._is_due(now_s):
            return ()
        self._next_s = now_s + ROUND_S
        return self._topics

    def _is_due(self, now_s: float) -> bool:
        return self._next_s is not None and now_s >= self._next_s

    def silent(self, now_s: float) -> float | None:
        """For how many seconds neither copy has come, when it is time to say so."""
        if self.delivered or self._plain_s is not None or now_s - self._begun_s < self._silence_s:
            return None
        self._silence_s *= 2
        return now_s - self._begun_s

    def verdict(self, now_s: float) -> str | None:
        """Why this broker cannot be shared, once that is certain: what it does, to follow its name."""
        if self.delivered:
            return None
        if self._refused_s is not None and now_s - self._refused_s >= self._refusal_s:
            return "refuses shared subscriptions ($share), or its rules forbid them to this user"
        if self._plain_s is not None and now_s - self._plain_s >= self._patience_s:
            return (
                "grants shared subscriptions ($share) but does not deliver them: "
                "a message to one did not come back, while the same message to an ordinary one did"
            )
        return None
