"""Another implementation as the judge: odata-query reads a filter, SQLite says which rows pass, and so do we.

The two are meant to differ, and the filters here are written so that it does not show, in this:

- ``not a eq b``: OData binds ``not`` to ``a``, SensorThings servers to the comparison. Written ``not (a eq b)`` here.
- ``eq``, ``ne`` and ``in`` with a null: SQL says null, OData false and true. ``IS`` and ``IS NOT`` say so in SQLite.
- A list of one: odata-query wants ``(1,)``. Lists have two members or more here.
- ``mod`` of fractions, letters beyond ASCII in ``tolower`` and a start before the text in ``substring``: SQLite's own.
- odata-query's own SQL loses parentheses of sums and takes ``%`` and ``_`` for wildcards; `_Sql` writes these anew.
"""

import logging
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from odata_query import ast
from odata_query.grammar import ODataLexer, ODataParser
from odata_query.sql.sqlite import AstToSqliteSqlVisitor

from footfall_api.sta.evaluate import Steps, compile_filter
from footfall_api.sta.language import parse_filter
from footfall_api.sta.values import Value

NOW: Final = datetime(2026, 6, 10, tzinfo=UTC)

ROWS: Final[list[dict[str, Any]]] = [
    {"id": number, "result": result, "name": name, "note": note, "resultTime": when}
    for number, (result, name, note, when) in enumerate(
        [
            (0.0, "Markt", "  a b ", datetime(2026, 1, 1, tzinfo=UTC)),
            (1.5, "markt", None, datetime(2026, 6, 10, 12, 30, 45, tzinfo=UTC)),
            (-2.5, "Johannisstrasse", "", None),
            (None, "Kirch%platz", "b", datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)),
            (7.0, "", "Markt", datetime(2026, 2, 28, tzinfo=UTC)),
            (100.25, "a_b", "'", datetime(2026, 6, 10, tzinfo=UTC)),
        ],
        start=-2,
    )
]


class _Sql(AstToSqliteSqlVisitor):
    """SQL with every parenthesis, and without wildcards."""

    def visit_BinOp(self, node: Any) -> str:  # noqa: N802  # the name is the visitor's
        return f"({super().visit_BinOp(node)})"

    def visit_BoolOp(self, node: Any) -> str:  # noqa: N802
        return f"({self.visit(node.left)} {self.visit(node.op)} {self.visit(node.right)})"

    def visit_UnaryOp(self, node: Any) -> str:  # noqa: N802
        sign = "-" if isinstance(node.op, ast.USub) else "NOT"
        return f"({sign} ({self.visit(node.operand)}))"

    def visit_Compare(self, node: Any) -> str:  # noqa: N802
        plain = {ast.Eq: "IS", ast.NotEq: "IS NOT"}
        sign = plain.get(type(node.comparator)) or self.visit(node.comparator)
        said = f"(({self.visit(node.left)}) {sign} {self.visit(node.right)})"
        return f"COALESCE({said}, FALSE)" if isinstance(node.comparator, ast.In) else said

    def sqlfunc_contains(self, *arguments: Any) -> str:
        whole, part = map(self.visit, arguments)
        return f"(INSTR({whole}, {part}) > 0)"

    def sqlfunc_startswith(self, *arguments: Any) -> str:
        whole, start = map(self.visit, arguments)
        return f"(SUBSTR({whole}, 1, LENGTH({start})) = {start})"

    def sqlfunc_endswith(self, *arguments: Any) -> str:
        whole, end = map(self.visit, arguments)
        return f"(LENGTH({end}) <= LENGTH({whole}) AND SUBSTR({whole}, LENGTH({whole}) - LENGTH({end}) + 1) = {end})"

    def sqlfunc_concat(self, *parts: Any) -> str:
        return f"({super().sqlfunc_concat(*parts)})"

    def sqlfunc_indexof(self, *arguments: Any) -> str:
        return f"({super().sqlfunc_indexof(*arguments)})"

    def sqlfunc_second(self, when: Any) -> str:
        return f"CAST(STRFTIME('%S', {self.visit(when)}) AS INTEGER)"

    def sqlfunc_round(self, number: Any) -> str:
        return f"ROUND({self.visit(number)})"


@pytest.fixture(scope="module")
def table() -> Iterator[sqlite3.Connection]:
    """The rows in SQLite."""
    logging.getLogger("odata_query").setLevel(logging.ERROR)  # it warns that it does not know the columns' types
    connection = sqlite3.connect(":memory:")
    connection.execute('CREATE TABLE row (id INTEGER, result REAL, name TEXT, note TEXT, "resultTime" TEXT)')
    for row in ROWS:
        when = row["resultTime"] and f"{row['resultTime']:%Y-%m-%d %H:%M:%S}"
        connection.execute("INSERT INTO row VALUES (:id, :result, :name, :note, :when)", {**row, "when": when})
    yield connection
    connection.close()


def theirs(table: sqlite3.Connection, text: str) -> list[int]:
    """The rows that pass in SQLite, as odata-query understands the filter."""
    where = _Sql().visit(ODataParser().parse(ODataLexer().tokenize(text)))
    return [number for (number,) in table.execute(f"SELECT id FROM row WHERE {where} ORDER BY id")]


def ours(text: str) -> list[int]:
    """The rows that pass here."""

    def resolve(row: dict[str, Any], steps: Steps) -> Value:
        return row[str(steps[0])]

    keep = compile_filter(parse_filter(text), resolve, NOW)
    return [row["id"] for row in ROWS if keep(row)]


_NUMBERS: Final = st.integers(-9, 9).map(str) | st.sampled_from(["1.5", "-2.5", "0.0", "100.25", "1e2"])
_TEXTS: Final = st.sampled_from(["''", "'a'", "'Markt'", "'mar'", "'b'", "''''", "'%'", "'_'", "' '", "'Kirch%platz'"])
_TIMES: Final = st.sampled_from(["2026-01-01T00:00:00Z", "2026-06-10T12:30:45Z", "2025-12-31T23:59:59Z"])


def _calls(names: str, *arguments: SearchStrategy[str]) -> SearchStrategy[str]:
    return st.builds("{}({})".format, st.sampled_from(names.split()), st.tuples(*arguments).map(",".join))


def _among(values: SearchStrategy[str], options: SearchStrategy[str]) -> SearchStrategy[str]:
    return st.builds("({}) in ({})".format, values, st.lists(options, min_size=2, max_size=3).map(",".join))


def _chains(operands: SearchStrategy[str], operators: list[str]) -> SearchStrategy[str]:
    """Two or three operands with operators between, some of them in parentheses."""

    @st.composite
    def chain(draw: DrawFn) -> str:
        first, second, third = (draw(operands) for _ in range(3))
        one, other = (draw(st.sampled_from(operators)) for _ in range(2))
        return draw(
            st.sampled_from(
                [
                    f"{first} {one} {second}",
                    f"{first} {one} {second} {other} {third}",
                    f"({first} {one} {second}) {other} {third}",
                    f"{first} {one} ({second} {other} {third})",
                ]
            )
        )

    return chain()


_INTEGERS: Final = st.recursive(
    st.integers(-9, 9).map(str) | st.just("id"),
    lambda inner: _chains(inner, ["add", "sub", "mul", "div", "mod"]).map("({})".format) | inner.map("-({})".format),
    max_leaves=4,
)
_VALUES: Final = st.recursive(
    _NUMBERS | st.sampled_from(["result", "id", "result", "-result"]),
    lambda inner: (
        _chains(inner, ["add", "sub", "mul"])
        | inner.map("({}) div (result add 0.5)".format)
        | inner.map("{} div 2.5".format)
        | _calls("round floor ceiling", inner)
    ),
    max_leaves=4,
)
_STRINGS: Final = st.recursive(
    _TEXTS | st.sampled_from(["name", "note", "name"]),
    lambda inner: (
        _calls("tolower toupper", inner)
        | _calls("concat", inner, inner)
        | _calls("substring", inner, st.integers(0, 3).map(str))
        | _calls("substring", inner, st.integers(0, 3).map(str), st.integers(0, 3).map(str))
        | _calls("trim", inner)
    ),
    max_leaves=3,
)
_WHEN: Final = _TIMES | st.just("resultTime")
_SIGNS: Final = st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"])


def _compared(one: SearchStrategy[str], other: SearchStrategy[str]) -> SearchStrategy[str]:
    return st.tuples(one, _SIGNS, other).map(" ".join)


_SIMPLE: Final = st.one_of(
    _compared(_VALUES, _VALUES),
    _compared(_INTEGERS, _INTEGERS),
    _compared(_STRINGS, _STRINGS),
    _compared(_WHEN, _WHEN),
    _compared(_calls("year month day hour minute second", _WHEN), _INTEGERS),
    _compared(_calls("length", _STRINGS) | _calls("indexof", _STRINGS, _STRINGS), _INTEGERS),
    _compared(_calls("date", _WHEN), st.sampled_from(["2026-06-10", "2025-12-31", "date(resultTime)"])),
    _calls("contains startswith endswith", _STRINGS, _STRINGS),
    st.tuples(st.sampled_from(["result", "name", "note", "resultTime"]), st.sampled_from(["eq", "ne"])).map(
        lambda pair: f"{pair[0]} {pair[1]} null"
    ),
    _among(_VALUES, _NUMBERS),
    _among(_STRINGS, _TEXTS),
)
_FILTERS: Final = st.recursive(
    _SIMPLE,
    lambda inner: _chains(inner, ["and", "or"]) | inner.map("not ({})".format) | inner.map("({}) eq true".format),
    max_leaves=5,
)


@settings(max_examples=400)
@given(text=_FILTERS)
@example(text="(id add 1) mul 2 eq 4")
@example(text="not (note eq 'b') and (id div 2 eq 1 or result gt 1 and name ne 'markt')")
@example(text="id sub 1 sub 1 eq 0 or -id mod 2 eq -1")
def test_the_same_rows_pass(table: sqlite3.Connection, text: str) -> None:
    """A filter that both can read keeps the same rows, in SQL as here."""
    assert ours(text) == theirs(table, text)


def test_where_the_two_differ_on_purpose(table: sqlite3.Connection) -> None:
    """What the docstring says of `not`: here it takes the whole comparison, there only what is next to it."""
    assert ours("not id eq 1") == [-2, -1, 0, 2, 3]
    assert theirs(table, "not id eq 1") == theirs(table, "(not id) eq 1") == [0]
