"""Observations: places in the numbered intervals of Datastreams, looked at by the thousand and made one by one.

To make hundreds of thousands of entities for one answer takes most of its time, and nearly all of them are only looked
at. So there are places; an entity that shows one after another (`views`) for conditions and orders; and entities that
stay, for those on a page (`of`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from footfall_api.answers import Answer
from footfall_api.sta.model import Entity, Stream
from footfall_api.sta.source import Counted, Slice
from footfall_api.sta.values import Interval

TIMES: Final = frozenset({"phenomenonTime", "resultTime"})
"""The properties that have a time."""


class Place(NamedTuple):
    """A position of a Datastream, and what was counted there."""

    stream: Stream
    position: int
    passages: int
    answer: Answer


class Observations:
    """Looks at places and makes entities of them; what several have in common they share."""

    def __init__(self) -> None:
        self._intervals: dict[tuple[int, int], Interval] = {}
        """By what edges, and the position."""
        self._parameters: dict[int, tuple[Answer, dict[str, Any]]] = {}
        """By the identity of the answer, which is kept so that it stays the only one of that identity."""
        self._links: dict[int, dict[str, Sequence[int]]] = {}

    def places(
        self,
        slices: Iterable[Slice],
        counted: Mapping[tuple[int, int, int], Counted],
        holds: Callable[[Entity], bool] | None = None,
        *,
        timed: bool = True,
    ) -> list[Place]:
        """All places of some slices, or those for which a condition holds; `timed`: it asks for times."""
        found = [
            Place(stream, position, count, answer)
            for stream, first, last in slices
            if first < last
            for position, count, answer in zip(range(first, last), *counted[stream.id, first, last], strict=True)
        ]
        if holds is None:
            return found
        return [place for place, view in zip(found, self.views(found, timed=timed), strict=True) if holds(view)]

    def views(self, places: Iterable[Place], *, timed: bool = True) -> Iterator[Entity]:
        """One entity that shows one place after another; who wants to keep one makes it."""
        properties: dict[str, Any] = {}
        view = Entity("Observations", 0, properties)
        for place in places:
            view.id = place.stream.observation_id(place.position)
            view.links = self._links_of(place.stream)
            properties["result"] = place.passages if place.answer.counted else None
            properties["parameters"] = self._parameters_of(place.answer)
            if timed:
                when = self._interval(place.stream, place.position)
                properties["phenomenonTime"], properties["resultTime"] = when, when.end
            yield view

    def of(self, places: Iterable[Place]) -> list[Entity]:
        """An entity for each place; the result is None where there is no number."""
        found = []
        for place in places:
            when = self._interval(place.stream, place.position)
            properties = {
                "phenomenonTime": when,
                "resultTime": when.end,
                "result": place.passages if place.answer.counted else None,
                "parameters": self._parameters_of(place.answer),
            }
            id_ = place.stream.observation_id(place.position)
            found.append(Entity("Observations", id_, properties, self._links_of(place.stream)))
        return found

    def _interval(self, stream: Stream, position: int) -> Interval:
        key = id(stream.edges), position
        found = self._intervals.get(key)
        if found is None:
            found = self._intervals[key] = stream.interval(position)
        return found

    def _parameters_of(self, answer: Answer) -> dict[str, Any]:
        known = self._parameters.get(id(answer))
        if known is None:
            found: dict[str, Any] = {"state": str(answer.state), "final": answer.final}
            if answer.coverage is not None:
                found["coverage"] = answer.coverage
            if answer.reason is not None:
                found["reason"] = str(answer.reason)
            known = self._parameters[id(answer)] = answer, found
        return known[1]

    def _links_of(self, stream: Stream) -> dict[str, Sequence[int]]:
        found = self._links.get(stream.id)
        if found is None:
            found = {"Datastream": [stream.id], "FeatureOfInterest": [stream.station.number]}
            self._links[stream.id] = found
        return found
