"""So many lines of the log an hour about each thing: who floods the broker shall not flood the log as well."""

from collections import Counter
from collections.abc import Hashable

_HOUR_S = 3600


class Ration:
    """Counts lines by what they are about, anew in each hour."""

    def __init__(self, most: int) -> None:
        """`most` lines an hour about each thing."""
        self._most = most
        self._hour = -1
        self._said: Counter[Hashable] = Counter()

    def take(self, about: Hashable, now_s: float) -> int:
        """How many lines there are left about it at `now_s` (unix seconds), this one included; 0: say nothing."""
        hour = int(now_s // _HOUR_S)
        if hour != self._hour:
            self._hour, self._said = hour, Counter()
        self._said[about] += 1
        return max(0, self._most - self._said[about] + 1)
