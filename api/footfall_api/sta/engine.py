"""Answer a question of SensorThings: a path and its options to JSON, within bounds of time and memory.

The bounds are counted, so that the same question always has the same answer: how many Observations are read to judge
or sort them (`MAX_READ`), and how many entities one answer has (`MAX_ENTITIES`). A page that would exceed the second is
cut short and says where the next one begins; a question that would exceed the first is refused with what to ask.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from footfall_api.intervals import Resolution
from footfall_api.sta.evaluate import compile_filter, compile_value, ordered, shape_of, sort_key
from footfall_api.sta.language import ENTITY_SETS, IDS, NAVIGATIONS, Expand, Expression, Query, ResourcePath, Segment
from footfall_api.sta.model import MINUTE_BITS, Entity, Stream
from footfall_api.sta.observations import TIMES, Observations, Place
from footfall_api.sta.options import write_options
from footfall_api.sta.select import InOrder, Selection, paths_of, select, weight_of
from footfall_api.sta.source import PIECE, City, Counted, Kept, Slice, Source
from footfall_api.sta.values import Interval, Value, descend

DEFAULT_TOP: Final = 100
"""Entities on a page for who does not say how many."""

MAX_TOP: Final = 10_000
"""Entities on a page at most; who asks for more gets so many and the address of the next page."""

MAX_ENTITIES: Final = 10_000
"""Entities in one answer, those that are expanded included; the first of a page is always there."""

MAX_READ: Final = 100_000
"""Observations that are read for one answer to be judged or sorted: eleven years of hours."""

_FINE: Final = 4
"""To read a quarter of an hour, which is added up from its minutes, takes so many times as long as to read an hour."""

_PIECE: Final = PIECE
"""Observations that are read at a time."""

MAX_VISITS: Final = 300_000
"""Entities that the paths of conditions and orders lead to, in one answer, over navigations to many."""

_SHAPES: Final = frozenset({"location", "feature", "observedArea"})

_READ: Final = (
    "conditions on what was counted, and orders that are not those of times or ids, have to read the Observations one "
    "by one, and these are too many; choose a Datastream or a time, such as phenomenonTime ge 2026-03-01T00:00:00Z"
)

_PLACE: Final = 1000
"""To look at another place takes as long as to read so many Observations at one."""

_TIME: Final = 200
"""The same for what is not judged: an answer may ask for a place of each of many Datastreams."""


class TooMuchError(ValueError):
    """A question that would take too long; the message says what to ask instead."""


class NotFoundError(LookupError):
    """There is no such entity, or it has no such value."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some entities of a set; `total` where it was asked for, `next` the place at which the next page begins."""

    entities: list[Entity]
    total: int | None
    next: int | None


@dataclass(slots=True)
class Session:
    """One question: what it may read, what it has read."""

    source: Source
    city: City
    root: str
    """Address of the service without a slash at its end."""
    now: datetime
    left_to_read: int = MAX_READ
    left_to_write: int = MAX_ENTITIES
    left_to_visit: int = MAX_VISITS
    kept: Kept = field(default_factory=dict)
    shapes: dict[int, Value] = field(default_factory=dict)
    made: Observations = field(default_factory=Observations)
    observations: dict[int, list[Entity]] = field(default_factory=dict)
    """By Datastream, where a condition asks about all of them."""

    # -- what is where -------------------------------------------------------------------------------------------------

    def related(self, entity: Entity, navigation: str) -> list[Entity]:
        """The entities that a navigation leads to; Observations only as far as they were read before."""
        target = NAVIGATIONS[entity.set][navigation]
        if target == "Observations":
            return [one for stream in self.streams_of(entity) for one in self.observations.get(stream.id, ())]
        known = self.city.entities[target]
        return [known[id_] for id_ in entity.links.get(navigation, ()) if id_ in known]

    def streams_of(self, entity: Entity | None) -> Sequence[Stream]:
        """The Datastreams whose Observations belong to a Datastream or a feature; of None: all."""
        if entity is None:
            return list(self.city.streams.values())
        if entity.set == "Datastreams":
            return [self.city.streams[entity.id]]
        return self.city.by_station.get(entity.id, ())

    def resolve(self, entity: Entity, steps: Sequence[str | int]) -> Value:
        """The value that a path leads to from an entity; a list through a navigation to many."""
        name, rest = str(steps[0]), tuple(steps[1:])
        if name in IDS:
            return entity.id
        if name in NAVIGATIONS[entity.set]:
            there = self.related(entity, name)
            if name in ENTITY_SETS:
                self._visit(len(there))
            found = [self.resolve(one, rest) if rest else one.id for one in there]
            if name not in ENTITY_SETS:
                return found[0] if found else None
            return [value for one in found for value in (one if isinstance(one, list) else [one])]
        value = entity.properties.get(name)
        if name in _SHAPES and not rest and value is not None:
            # Read once: a condition may ask for the same few shapes again for each of many Observations.
            if id(value) not in self.shapes:
                self.shapes[id(value)] = shape_of(value)
            return self.shapes[id(value)]
        return descend(value, rest)

    def _visit(self, number: int) -> None:
        """Count the entities that paths lead to: over circles these are soon more than there are."""
        self.left_to_visit -= number
        if self.left_to_visit < 0:
            raise TooMuchError(
                f"a path over several navigations to many leads to more than {MAX_VISITS:,} entities; begin with the "
                "set that the condition is about"
            )

    # -- pages ---------------------------------------------------------------------------------------------------------

    async def page(self, entity_set: str, of: Entity | None, navigation: str | None, query: Query) -> Page:
        """A page of a set: of all there are, or of those that a navigation leads to from an entity."""
        await self._prepare(query)
        if entity_set == "Observations":
            return await self._observations(self.streams_of(of), query)
        if of is None:
            found: list[Entity] = [
                self.city.entities[entity_set][id_] for id_ in sorted(self.city.entities[entity_set])
            ]
        else:
            assert navigation is not None
            found = self.related(of, navigation)
        self._spend(
            len(found) * weight_of(_expressions(query)),
            "conditions and orders as long as these are too much for so many entities; write shorter ones",
        )
        return await asyncio.to_thread(self._of_known, found, query)

    def _of_known(self, found: list[Entity], query: Query) -> Page:
        if query.filter is not None:
            found = list(filter(compile_filter(query.filter, self.resolve, self.now), found))
        if query.orderby:
            found = ordered(found, query.orderby, self.resolve, self.now)
        skip, top = query.skip or 0, top_of(query)
        end = skip + top
        return Page(found[skip:end], len(found) if query.count else None, _next(query, end, len(found) > end))

    async def _prepare(self, query: Query) -> None:
        """Read the Observations that a condition or an order asks about from elsewhere."""
        paths = [path for expression in _expressions(query) for path in paths_of(expression)]
        if any("Observations" in path for path in paths):
            await self._read_all()

    async def _read_all(self) -> None:
        """Read all Observations of all Datastreams, if they are few enough."""
        missing = [stream for stream in self.city.streams.values() if stream.id not in self.observations]
        slices = [(stream, stream.first, stream.last) for stream in missing]
        size = sum(last - first for _, first, last in slices)
        self._spend(
            _cost(slices),
            f"a condition on the Observations of other entities has to read all {size:,} of them; ask for Observations "
            "instead, with conditions on their Datastream and their time",
        )
        for slice_ in slices:
            self.observations[slice_[0].id] = await self._built([slice_])

    def _spend(self, number: int, otherwise: str) -> None:
        if number > self.left_to_read:
            raise TooMuchError(
                f"{otherwise}. At most {MAX_READ:,} intervals of an hour or more are read for one answer, or "
                f"{MAX_READ // _FINE:,} of a quarter of an hour; with long conditions or shapes fewer"
            )
        self.left_to_read -= number

    # -- Observations --------------------------------------------------------------------------------------------------

    async def _observations(self, streams: Sequence[Stream], query: Query) -> Page:
        selection = select(streams, query.filter, self.resolve, self.now)
        order = InOrder(selection, query.orderby)
        skip, top, total = query.skip or 0, top_of(query), selection.size
        if selection.rest is not None or (not order.is_settled and top and skip < total):
            return await self._read(selection, order, query)
        found = (await self._placed(order, query, skip, top))[:top] if top and skip < total else []
        end = skip + top
        return Page(found, total if query.count else None, _next(query, end, total > end))

    async def _placed(self, order: InOrder, query: Query, skip: int, top: int) -> list[Entity]:
        """The Observations from the place `skip` on, in an order that is arithmetic."""
        found: list[Entity] = []
        for window in order.windows(skip, min(top, _PIECE)):
            piece = await self._built(window.slices)
            piece = await asyncio.to_thread(ordered, piece, query.orderby, self.resolve, self.now)
            found += piece[max(0, skip - window.before) :] if not found else piece
            if len(found) >= top:
                break
        return found

    async def _read(self, selection: Selection, order: InOrder, query: Query) -> Page:
        """Observations that have to be read to be judged or sorted: as many as the page needs, or all.

        All of them are looked at, and only those on the page are made.
        """
        holds = None if selection.rest is None else compile_filter(selection.rest, self.resolve, self.now)
        timed = selection.rest is not None and any(path[0] in TIMES for path in paths_of(selection.rest))
        skip, top = query.skip or 0, top_of(query)
        enough = None if query.count or not order.is_settled else skip + top + 1
        found: list[Entity] = []
        all_places: list[Place] = []
        total = 0
        settled = order if order.is_settled else InOrder(selection, ())
        weight = weight_of(_expressions(replace(query, filter=selection.rest)))
        if enough is None:
            # All of it will be read: then the stations of one time are tallied together.
            self._spend(_cost(selection.slices) * weight, _READ)
            await self.source.load(self.city, selection.slices, self.kept)
        for window in settled.windows(0, _PIECE):
            if enough is not None:
                places = {(id(stream.edges), first, last) for stream, first, last in window.slices}
                self._spend(_cost(window.slices) * weight + _PLACE * len(places), _READ)
            counted = await self.source.load(self.city, window.slices, self.kept)
            held = await asyncio.to_thread(self.made.places, window.slices, counted, holds, timed=timed)
            if not order.is_settled:
                all_places += held
            elif total < skip + top:
                if order.by_id:
                    held = held[::-1] if order.descending else held
                    piece = self.made.of(held[max(0, skip - total) : skip + top - total])
                else:
                    piece = await asyncio.to_thread(self._in_order, held, query)
                    piece = piece[max(0, skip - total) : skip + top - total]
                found += piece
            total += len(held)
            if enough is not None and total >= enough:
                break
        if not order.is_settled:
            found = await asyncio.to_thread(self._best, all_places, query, skip, top)
        end = skip + top
        return Page(found, total if query.count else None, _next(query, end, total > end))

    def _in_order(self, places: list[Place], query: Query) -> list[Entity]:
        return ordered(self.made.of(places), query.orderby, self.resolve, self.now)

    def _best(self, places: list[Place], query: Query, skip: int, top: int) -> list[Entity]:
        """The page of an order that what was counted decides; places alike stay in the order of their ids."""
        numbers = list(range(len(places)))
        for one in reversed(query.orderby):
            value = compile_value(one.expression, self.resolve, self.now)
            keys = [sort_key(value(view)) for view in self.made.views(places)]
            numbers.sort(key=keys.__getitem__, reverse=one.descending)
        return self.made.of([places[n] for n in numbers[skip : skip + top]])

    async def _built(self, slices: Sequence[Slice]) -> list[Entity]:
        """The Observations at some positions, in that order."""
        return await asyncio.to_thread(self.build, slices, await self.load(slices))

    async def load(self, slices: Sequence[Slice]) -> dict[tuple[int, int, int], Counted]:
        """What was counted at some positions; each time that is looked at for the first time has its price."""
        new = {
            (id(stream.edges), first, last)
            for stream, first, last in slices
            if (id(stream.edges), stream.station.number, first, last) not in self.kept
        }
        self._spend(_TIME * len(new), _READ)
        return await self.source.load(self.city, slices, self.kept)

    def build(self, slices: Sequence[Slice], counted: Mapping[tuple[int, int, int], Counted]) -> list[Entity]:
        """The Observations at some positions, of what was counted there."""
        return self.made.of(self.made.places(slices, counted))

    async def one(self, id_: int) -> Entity | None:
        """The Observation of an id."""
        stream = self.city.streams.get(id_ >> MINUTE_BITS)
        position = None if stream is None else stream.position_of(id_)
        if stream is None or position is None:
            return None
        (found,) = await self._built([(stream, position, position + 1)])
        return found


def _expressions(query: Query) -> list[Expression]:
    """What has to be worked out for each entity."""
    return [*([query.filter] if query.filter else []), *(order.expression for order in query.orderby)]


def _cost(slices: Iterable[Slice]) -> int:
    """What it takes to read some slices, in intervals of an hour."""
    return sum(
        (last - first) * (_FINE if stream.edges.resolution is Resolution.QUARTER_HOUR else 1)
        for stream, first, last in slices
    )


def top_of(query: Query) -> int:
    """How many entities a page has."""
    return DEFAULT_TOP if query.top is None else min(query.top, MAX_TOP)


def _next(query: Query, end: int, more: bool) -> int | None:
    return end if more and query.top != 0 else None


# -- the way to an entity ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """Where a path leads: to an entity, or to a set (all of it, or what a navigation leads to from `entity`)."""

    entity: Entity | None
    many: str | None = None
    navigation: str | None = None


async def follow(session: Session, path: ResourcePath) -> Found:
    """Where a path leads.

    Raises:
        NotFoundError: there is no such entity.
    """
    entity: Entity | None = None
    for segment in path.segments:
        is_set = segment.key is None and segment.name in ENTITY_SETS
        if is_set:
            return Found(entity, segment.entity_set, segment.name)
        entity = await _step(session, entity, segment)
    return Found(entity)


async def _step(session: Session, entity: Entity | None, segment: Segment) -> Entity:
    """The one entity that a segment leads to."""
    if segment.key is None:
        assert entity is not None
        found = session.related(entity, segment.name)
        if not found:
            raise NotFoundError(f"{entity.set}({entity.id}) has no {segment.name}")
        return found[0]
    if segment.entity_set == "Observations":
        one = await session.one(segment.key)
    else:
        one = session.city.entities[segment.entity_set].get(segment.key)
    if one is None:
        raise NotFoundError(f"there is no {segment.entity_set}({segment.key})")
    if entity is not None and not _belongs(one, entity, segment.name):
        raise NotFoundError(f"{segment.entity_set}({segment.key}) is none of {entity.set}({entity.id})/{segment.name}")
    return one


def _belongs(one: Entity, entity: Entity, navigation: str) -> bool:
    if one.set != "Observations":
        return one.id in entity.links.get(navigation, ())
    back = "Datastream" if entity.set == "Datastreams" else "FeatureOfInterest"
    return entity.id in one.links[back]


# -- JSON --------------------------------------------------------------------------------------------------------------


async def collection(session: Session, found: Found, query: Query, address: Callable[[int], str]) -> dict[str, Any]:
    """A page of a set as JSON; `address` is that of the page that begins at a place."""
    assert found.many is not None
    page = await session.page(found.many, found.entity, found.navigation, query)
    values = await written(session, page.entities, query)
    return _collection("", values, page, query, address)


def _collection(
    name: str, values: list[dict[str, Any]], page: Page, query: Query, address: Callable[[int], str]
) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if page.total is not None:
        body[f"{name}@iot.count"] = page.total
    following = page.next
    if len(values) < len(page.entities):  # cut short: what is expanded was too much for one answer
        following = (query.skip or 0) + len(values)
    if following is not None:
        body[f"{name}@iot.nextLink"] = address(following)
    body[name or "value"] = values
    return body


async def written(session: Session, entities: Sequence[Entity], query: Query) -> list[dict[str, Any]]:
    """Entities as JSON with what is expanded; fewer than given where the answer would become too long."""
    expanded: list[dict[str, Any]] = [{} for _ in entities]
    if not query.expand:
        kept = entities[: max(1, session.left_to_write)]
        session.left_to_write -= len(kept)
        return [entity_json(entity, session.root, query.select, ()) for entity in kept]
    pages = await _pages(session, entities, query.expand)
    for i, entity in enumerate(entities):
        if i and session.left_to_write <= 0:
            return _joined(session, entities[:i], expanded, query)
        session.left_to_write -= 1
        for expand in query.expand:
            expanded[i] |= await _expanded(session, entity, expand, pages.get((i, expand.navigation)))
    return _joined(session, entities, expanded, query)


def _joined(
    session: Session, entities: Sequence[Entity], expanded: Sequence[dict[str, Any]], query: Query
) -> list[dict[str, Any]]:
    names = tuple(expand.navigation for expand in query.expand)
    return [
        {**entity_json(entity, session.root, query.select, names), **more}
        for entity, more in zip(entities, expanded, strict=False)
    ]


async def _pages(
    session: Session, entities: Sequence[Entity], expands: Iterable[Expand]
) -> dict[tuple[int, str], Page]:
    """The Observations that are expanded for many entities, where arithmetic finds them: read all at once."""
    pages: dict[tuple[int, str], Page] = {}
    for expand in expands:
        query = expand.query
        if not entities or NAVIGATIONS[entities[0].set].get(expand.navigation) != "Observations":
            continue
        planned: dict[int, tuple[Selection, Sequence[Slice], int]] = {}
        budget = session.left_to_write
        for i, entity in enumerate(entities):
            selection = select(session.streams_of(entity), query.filter, session.resolve, session.now)
            order = InOrder(selection, query.orderby)
            if selection.rest is not None or not order.is_settled:
                break
            skip, top = query.skip or 0, top_of(query)
            slices, before = _wanted(order, skip, top)
            planned[i] = (selection, slices, before)
            budget -= min(top, max(0, selection.size - skip))
            if budget <= 0:
                break
        counted = await session.load([one for _, slices, _ in planned.values() for one in slices])
        for i, (selection, wanted, before) in planned.items():
            skip, top = query.skip or 0, top_of(query)
            piece = ordered(session.build(wanted, counted), query.orderby, session.resolve, session.now)
            found = piece[skip - before :][:top] if wanted else []
            end = skip + top
            total = selection.size if query.count else None
            pages[i, expand.navigation] = Page(found, total, _next(query, end, selection.size > end))
    return pages


def _wanted(order: InOrder, skip: int, top: int) -> tuple[list[Slice], int]:
    """The slices with the places [skip, skip + top) of an order, and how many places come before them."""
    found: list[Slice] = []
    before, seen = skip, 0
    if not top or skip >= order.selection.size:
        return [], skip
    for window in order.windows(skip, top):
        if not found:
            before = seen = window.before
        found += window.slices
        seen += sum(last - first for _, first, last in window.slices)
        if seen >= skip + top:
            break
    return found, before


async def _expanded(session: Session, entity: Entity, expand: Expand, page: Page | None) -> dict[str, Any]:
    """What an expand adds to an entity."""
    name, query = expand.navigation, expand.query
    if name not in ENTITY_SETS:
        found = session.related(entity, name)
        return {name: (await written(session, found[:1], query))[0]} if found else {}
    page = page or await session.page(NAVIGATIONS[entity.set][name], entity, name, query)
    values = await written(session, page.entities, query) if page.entities else []
    own = f"{session.root}/{entity.set}({entity.id})/{name}"
    return _collection(name, values, page, query, lambda skip: f"{own}?{write_options(replace(query, skip=skip))}")


def entity_json(entity: Entity, root: str, select_: Sequence[str], expanded: Sequence[str]) -> dict[str, Any]:
    """An entity by itself: id, address, links and properties, or those of them that are selected."""
    own = f"{root}/{entity.set}({entity.id})"
    body: dict[str, Any] = {}
    if not select_ or not set(IDS).isdisjoint(select_):
        body["@iot.id"] = entity.id
    if not select_:
        body["@iot.selfLink"] = own
    body |= {name: to_json(value) for name, value in entity.properties.items() if not select_ or name in select_}
    for name in NAVIGATIONS[entity.set]:
        if name not in expanded and (not select_ or name in select_):
            body[f"{name}@iot.navigationLink"] = f"{own}/{name}"
    return body


def to_json(value: Value) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Interval):
        return f"{_time(value.start)}/{_time(value.end)}"
    return _time(value) if isinstance(value, datetime) else value


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_COMPONENTS: Final = ("id", "phenomenonTime", "resultTime", "result", "parameters")


def data_array(entities: Sequence[Entity], root: str, query: Query) -> list[dict[str, Any]]:
    """Observations as ``$resultFormat=dataArray``: by Datastream, each a list of lists."""
    names = [name for name in _COMPONENTS if not query.select or name in query.select or _is_id(name, query.select)]
    groups: dict[int, list[list[Any]]] = {}
    for entity in entities:
        row = [entity.id if name == "id" else to_json(entity.properties.get(name)) for name in names]
        groups.setdefault(entity.links["Datastream"][0], []).append(row)
    return [
        {
            "Datastream@iot.navigationLink": f"{root}/Datastreams({stream})",
            "components": names,
            "dataArray@iot.count": len(rows),
            "dataArray": rows,
        }
        for stream, rows in groups.items()
    ]


def _is_id(name: str, selected: Sequence[str]) -> bool:
    return name == "id" and not set(IDS).isdisjoint(selected)
