"""Write the options of a question back into an address, for the links to next pages."""

from collections.abc import Iterator
from urllib.parse import quote

from footfall_api.sta.language import Expand, Query, render


def write_options(query: Query) -> str:
    """The options as the query string of an address."""
    return "&".join(f"{name}={quote(value, safe=_SAFE)}" for name, value in _options(query))


_SAFE = "/$,;()'@.:"


def _options(query: Query) -> Iterator[tuple[str, str]]:
    if query.top is not None:
        yield "$top", str(query.top)
    if query.skip:
        yield "$skip", str(query.skip)
    if query.count is not None:
        yield "$count", "true" if query.count else "false"
    if query.filter is not None:
        yield "$filter", render(query.filter)
    if query.orderby:
        orders = (f"{render(o.expression)} {'desc' if o.descending else 'asc'}" for o in query.orderby)
        yield "$orderby", ",".join(orders)
    if query.select:
        yield "$select", ",".join(query.select)
    if query.expand:
        yield "$expand", ",".join(map(_expand, query.expand))
    if query.result_format is not None:
        yield "$resultFormat", query.result_format


def _expand(expand: Expand) -> str:
    inner = ";".join(f"{name}={value}" for name, value in _options(expand.query))
    return f"{expand.navigation}({inner})" if inner else expand.navigation
