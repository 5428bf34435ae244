"""The query language of SensorThings is read as it is written, and what cannot be read is refused with a reason."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from footfall_api.sta.language import (
    ENTITY_SETS,
    FUNCTIONS,
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_NODES,
    OPTIONS,
    Binary,
    Call,
    Expand,
    Expression,
    In,
    LanguageError,
    Literal,
    Logical,
    Order,
    Path,
    Query,
    ResourcePath,
    Segment,
    Unary,
    parse_filter,
    parse_path,
    parse_query,
    render,
    split_query,
)
from footfall_api.sta.values import MAX_VERTICES, Interval
from footfall_testing.sta_grammar import broken_urls, conditions, options, resource_paths, urls


def query(text: str, entity_set: str | None = None, **more: Any) -> Query:
    """The options of a query string."""
    return parse_query(split_query(text), entity_set, **more)


def refusal(text: str, entity_set: str | None = None) -> LanguageError:
    """Why a filter is refused."""
    with pytest.raises(LanguageError) as caught:
        parse_filter(text, entity_set)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("5.25", 5.25),
        ("1e3", 1000.0),
        ("-1.5E-2", -0.015),
        ("true", True),
        ("False", False),
        ("NULL", None),
        ("''", ""),
        ("'Bob''s'", "Bob's"),
        ("'a and (b'", "a and (b"),
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01t12:00z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00+01:00", datetime(2026, 3, 1, 11, tzinfo=UTC)),
        ("2026-03-01T12:00:00-0330", datetime(2026, 3, 1, 15, 30, tzinfo=UTC)),
        # the '+' of a URL that was not encoded
        ("2026-03-01T12:00:00 01:00", datetime(2026, 3, 1, 11, tzinfo=UTC)),
        ("2026-03-01T12:00:00.123456789Z", datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)),
        ("2026-03-01T12:00:00.5Z", datetime(2026, 3, 1, 12, 0, 0, 500000, tzinfo=UTC)),
        ("2026-03-01", date(2026, 3, 1)),
        ("12:30", time(12, 30)),
        ("12:30:15.25", time(12, 30, 15, 250000)),
        (
            "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z",
            Interval(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        ),
        ("duration'PT24H'", timedelta(hours=24)),
        ("Duration'-P1DT2H3M4.5S'", -timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        ("duration'P2W'", timedelta(days=14)),
        ("geography'POINT(11.58 50.92)'", shapely.Point(11.58, 50.92)),
        ("geography'SRID=4326;POINT (11.58 50.92)'", shapely.Point(11.58, 50.92)),
        ("geography'polygon((0 0,1 0,1 1,0 0))'", shapely.Polygon([(0, 0), (1, 0), (1, 1)])),
    ],
)
def test_a_literal_is_its_value(text: str, value: object) -> None:
    """Each kind of literal, in any case where it has letters, becomes a value of the right type."""
    found = parse_filter(f"x eq {text}")

    assert found == Binary("eq", Path(("x",)), Literal(value))
    assert isinstance(found, Binary)
    assert isinstance(found.right, Literal)
    assert type(found.right.value) is type(value)


X, Y, Z = (Path((name,)) for name in "xyz")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("x", X),
        ("Datastream/Thing/name eq 'a'", Binary("eq", Path(("Datastream", "Thing", "name")), Literal("a"))),
        ("properties/straße gt 0", Binary("gt", Path(("properties", "straße")), Literal(0))),
        ("location/coordinates/0 lt 1", Binary("lt", Path(("location", "coordinates", 0)), Literal(1))),
        ("Datastream/@iot.id eq 1", Binary("eq", Path(("Datastream", "@iot.id")), Literal(1))),
        ("x or y and z", Logical("or", (X, Logical("and", (Y, Z))))),
        ("(x or y) and z", Logical("and", (Logical("or", (X, Y)), Z))),
        ("x and y and z", Logical("and", (X, Y, Z))),
        ("(x and y) and z", Logical("and", (Logical("and", (X, Y)), Z))),
        ("not x eq y and z", Logical("and", (Unary("not", Binary("eq", X, Y)), Z))),
        ("NOT(x)OR(not not y)", Logical("or", (Unary("not", X), Unary("not", Unary("not", Y))))),
        ("x eq y gt z", Binary("eq", X, Binary("gt", Y, Z))),
        ("x add y mul z eq 1", Binary("eq", Binary("add", X, Binary("mul", Y, Z)), Literal(1))),
        ("x sub y sub z lt 1", Binary("lt", Binary("sub", Binary("sub", X, Y), Z), Literal(1))),
        ("-x mul y gt - 5", Binary("gt", Binary("mul", Unary("neg", X), Y), Unary("neg", Literal(5)))),
        ("x div -5 mod y eq 0", Binary("eq", Binary("mod", Binary("div", X, Literal(-5)), Y), Literal(0))),
        ("x In (1,'a',null)", In(X, (Literal(1), Literal("a"), Literal(None)))),
        ("'a' in properties/tags", In(Literal("a"), Path(("properties", "tags")))),
        ("x add 1 in (2) and y", Logical("and", (In(Binary("add", X, Literal(1)), (Literal(2),)), Y))),
        ("StartsWith(x , 'a')", Call("startswith", (X, Literal("a")))),
        ("now() GT x", Binary("gt", Call("now", ()), X)),
        ("geo.distance(x,geography'POINT(1 2)') Le 3", None),
    ],
)
def test_a_filter_is_its_tree(text: str, tree: Expression | None) -> None:
    """Operators bind as in OData, `not` takes a comparison, words are read in any case."""
    assert tree is None or parse_filter(text) == tree
    assert parse_filter(render(parse_filter(text))) == parse_filter(text)


@given(st.sampled_from(ENTITY_SETS).flatmap(conditions))
def test_what_is_written_is_read_again(tree: Expression) -> None:
    """A tree and its text are the same thing, down to the types of its values."""
    found = parse_filter(render(tree))

    assert repr(found) == repr(tree)
    assert found == tree


@given(st.data())
def test_names_of_the_model_are_known(data: st.DataObject) -> None:
    """Whatever is asked with the names of the model is not refused, whether names are checked or not."""
    entity_set = data.draw(st.sampled_from(ENTITY_SETS))
    asked = data.draw(options(entity_set))

    assert parse_query(asked.items(), entity_set) == parse_query(asked.items())


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 0, "found the end where there should be a value or the name of a property"),
        ("x gt", 4, "found the end"),
        ("x gt and y", 5, "found 'and' where there should be a value"),
        ("x gt 5)", 6, r"found '\)' where there should be an operator or the end"),
        ("(x gt 5", 7, "found the end where there should be an operator or"),
        ("x gt 5 6", 7, "found '6' where there should be an operator"),
        ("x equals 5", 2, "found 'equals' where there should be an operator"),
        ("x eq 'abc", 5, "a text begins here and does not end"),
        ("x eq #", 5, "'#' cannot be read"),
        ("x eq 5abc", 5, "'5abc' cannot be read"),
        ("x in 5", 5, "should be a list such as"),
        ("x in ()", 6, "should be a value such as 5"),
        ("x in (1 2)", 8, r"should be ',' or '\)'"),
        ("phenomenonTime ge 2026-03-01T12:00:00", 18, "does not say its offset; write 2026-03-01T12:00:00Z"),
        ("x ge 2026-02-30T12:00:00Z", 5, "there is no time 2026-02-30T12:00:00Z"),
        ("x ge 0001-01-01T00:00:00+01:00", 5, "there is no time"),
        ("x ge 2026-13-01", 5, "month must be in 1..12"),
        ("x ge 25:00", 5, "hour must be in 0..23"),
        ("x eq 2026-03-02T00:00:00Z/2026-03-01T00:00:00Z", 5, "ends before it starts"),
        ("x gt duration'P1M'", 5, "months and years have no fixed length"),
        ("x gt duration'P999999999999D'", 5, "is not a duration"),
        ("x gt duration'P999999999DT999999999999H'", 5, "is not a duration|too long"),
        ("x gt duration'PT'", 5, "is not a duration"),
        ("x gt duratoin'PT1H'", 5, "did you mean duration"),
        ("x eq 1e999", 5, "beyond what can be reckoned"),
        (f"x eq {'9' * 41}", 5, "more than 40 digits"),
        ("st_within(x,geography'POINT(1)')", 12, "cannot be read as WKT"),
        ("st_within(x,geography'POINT(1 nan)')", 12, "is not sound"),
        ("st_within(x,geography'POINT(1e400 1)')", 12, "is not sound"),
        ("st_within(x,geography'POLYGON((0 0,1 1,0 1,1 0,0 0))')", 12, "is not sound: Self-intersection"),
        ("st_within(x,geography'SRID=31468;POINT(1 2)')", 12, "SRID=4326"),
        ("st_within(x,geography'GEOMETRYCOLLECTION(POINT(1 2))')", 12, "is not a shape"),
        (f"st_within(x,geography'LINESTRING({'1 2,' * MAX_VERTICES}1 3)')", 12, "more than 1000 points"),
        ("lenght(x) eq 1", 0, "there is no function 'lenght'; did you mean length?"),
        ("Datastreams/any(d:d/id eq 1)", 0, "Datastreams/id eq 1 is true if it is for any of Datastreams"),
        ("length() eq 1", 0, "length takes 1 arguments, found 0"),
        ("substring(x,1,2,3) eq ''", 0, "substring takes 2 or 3 arguments, found 4"),
        ("st_relate(x,y,'T') and z", 14, "pattern"),
        ("during(x,2026-03-01T00:00:00Z)", 9, "interval"),
        ("5", 0, "found a number where a condition should be"),
        ("'a' and x", 0, "found a text where a condition should be"),
        ("x and length(y)", 6, "found a number where a condition"),
        ("not (x add 1)", 4, "found a calculation where a condition"),
        ("phenomenonTime gt 2026-03-01", 18, r"compare date\(phenomenonTime\), or write a time"),
        ("'2026-03-01T00:00:00Z' le resultTime", 0, "resultTime is compared with a text"),
        ("Datastream/id eq '1'", 17, "ids are integers: id eq 1"),
        ("id in (1,'2')", 9, "ids are integers"),
        ("x eq 'a\0b'", 7, "the character 0"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(text: str, position: int, reason: str) -> None:
    """The error names the option, the place in the text, what stands there and what would be right."""
    with pytest.raises(LanguageError, match=reason) as caught:
        parse_filter(text)

    assert (caught.value.option, caught.value.position) == ("$filter", position)
    assert str(caught.value).startswith(f"$filter, character {position + 1}: ")


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("reslt gt 5", 0, "no 'reslt' of Observations; did you mean result?"),
        ("Datastream/Thing/nmae eq 'a'", 17, "no 'nmae' of Things; did you mean name?"),
        ("Datastream/Things/name eq 'a'", 11, "no 'Things' of Datastreams; did you mean Thing?"),
        ("Datastream eq 5", 0, "Datastream is an entity; name a property of it, such as Datastream/id"),
        ("Datastream/name/de eq 'a'", 16, "found 'de' after name, which has no parts"),
        ("xyzzy eq 5", 0, "there are phenomenonTime, "),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(text: str, position: int, reason: str) -> None:
    """With an entity set, names are those of the model, also behind navigations."""
    found = refusal(text, "Observations")

    assert found.position == position
    assert reason in str(found)


def test_json_is_open() -> None:
    """Below a property that holds JSON any name goes, also one that is a property or a word elsewhere."""
    for text in ("properties/and eq 1", "properties/id eq 'a'", "properties/time eq 'x'", "properties/a/b/3/c eq null"):
        parse_filter(text, "Things")


@pytest.mark.parametrize("opening", ["(", "not ", "-", "length(", "x eq ("])
def test_depth_is_bounded(opening: str) -> None:
    """Nesting is refused with an error well before the interpreter's own limit."""
    text = opening * (MAX_DEPTH + 1) + "x"
    closed = text + ")" * text.count("(")

    assert "levels" in str(refusal(f"y gt {closed}" if opening == "-" else closed))


def test_the_deepest_that_is_allowed_is_read() -> None:
    """The bound is where it says: parentheses around one value cost nothing but levels."""
    assert parse_filter("(" * (MAX_DEPTH - 1) + "x" + ")" * (MAX_DEPTH - 1)) == X


def test_long_chains_are_flat() -> None:
    """As many alternatives as the number of nodes allows, on one level."""
    ids = " or ".join(f"id eq {n}" for n in range(MAX_NODES // 4))
    listed = ",".join(map(str, range(MAX_NODES - 2)))

    found = parse_filter(ids)

    assert isinstance(found, Logical)
    assert len(found.operands) == MAX_NODES // 4
    assert isinstance(parse_filter(f"id in ({listed})"), In)
    assert "more than 1000" in str(refusal(f"id in ({listed},1,2)"))
    assert "levels" in str(refusal("1" + " add 1" * MAX_DEPTH + " eq 1"))


def test_length_is_bounded() -> None:
    """A text one character too long is refused before it is looked at."""
    assert "characters" in str(refusal("x" * (MAX_LENGTH + 1)))
    with pytest.raises(LanguageError, match="characters"):
        split_query("x" * (MAX_LENGTH + 1))
    with pytest.raises(LanguageError, match="characters"):
        parse_path("x" * (MAX_LENGTH + 1))


def test_all_options_of_a_query() -> None:
    """Each option has its own field; names and words in any case, spaces as `+` and encoded."""
    found = query(
        "$Filter=result+gt%205&$select=id,result,id&$orderby=phenomenonTime+DESC,Datastream/id,length(name)+asc"
        "&$top=10&$skip=20&$count=TRUE&$resultFormat=DATAARRAY&$expand=Datastream&token=x"
    )

    assert found == Query(
        filter=Binary("gt", Path(("result",)), Literal(5)),
        select=("id", "result"),
        expand=(Expand("Datastream"),),
        orderby=(
            Order(Path(("phenomenonTime",)), descending=True),
            Order(Path(("Datastream", "id"))),
            Order(Call("length", (Path(("name",)),))),
        ),
        top=10,
        skip=20,
        count=True,
        result_format="dataArray",
    )


def test_nothing_asked_is_an_empty_query() -> None:
    """What is not given stays unset, so that the caller's defaults hold."""
    assert query("") == query("&_=5") == Query()


def test_expands_nest() -> None:
    """Options in parentheses belong to the navigation before them, those of a path to its last step."""
    found = query(
        "$expand=Datastreams/Observations($filter=result gt 5 and (x or y);$top=3;$skip=1;$count=true;"
        "$orderby=result desc,id;$select=result;$expand=FeatureOfInterest($select=name))"
    )

    observations = Query(
        filter=Logical("and", (Binary("gt", Path(("result",)), Literal(5)), Logical("or", (X, Y)))),
        select=("result",),
        expand=(Expand("FeatureOfInterest", Query(select=("name",))),),
        orderby=(Order(Path(("result",)), descending=True), Order(Path(("id",)))),
        top=3,
        skip=1,
        count=True,
    )
    assert found.expand == (Expand("Datastreams", Query(expand=(Expand("Observations", observations),))),)


def test_expands_of_one_name_merge() -> None:
    """Sub-expands come together, and of an option that is given twice the later counts."""
    found = query(
        "$expand=Datastreams($top=1;$select=name;$expand=Sensor),Locations,"
        "Datastreams/ObservedProperty,Datastreams($top=2;$expand=Sensor($select=id))"
    )

    sensor = Expand("Sensor", Query(select=("id",)))
    streams = Query(top=2, select=("name",), expand=(sensor, Expand("ObservedProperty")))
    assert found.expand == (Expand("Datastreams", streams), Expand("Locations"))


@pytest.mark.parametrize(
    ("text", "option", "reason"),
    [
        ("$expand=Datastreams(", "$expand", "found the end where there should be an option such as"),
        ("$expand=Datastreams($top=1", "$expand", "found the end where there should be ';'"),
        ("$expand=Datastreams($top=1,$skip=1)", "$expand", "found ',' where there should be ';'"),
        ("$expand=Datastreams($top=1;$top=2)", "$expand", "given twice"),
        ("$expand=Datastreams($resultFormat=dataArray)", "$expand", "should be an option such as"),
        ("$expand=Datastreams($levels=1)", "$expand", "found '$levels'"),
        ("$expand=Datastream", "$expand", "no 'Datastream' of Things; did you mean Datastreams?"),
        ("$expand=Datastreams($select=nam)", "$expand", "no 'nam' of Datastreams; did you mean name?"),
        ("$expand=Datastreams/Thing($filter=result gt 5)", "$expand", "no 'result' of Things"),
        ("$expand=" + "Datastreams/Thing/" * 4 + "Datastreams", "$expand", "more than 8 levels"),
        ("$expand=" + "Datastreams($expand=Thing($expand=" * 5, "$expand", "more than 8 levels"),
        ("$select=name desc", "$select", "found 'desc'"),
        ("$select=properties/a", "$select", "no 'properties/a' of Things"),
        ("$orderby=name up", "$orderby", "found 'up'"),
        ("$orderby=", "$orderby", "found the end"),
        ("$top=-1", "$top", "found '-1' where there should be a whole number"),
        ("$top=1.5", "$top", "should be a whole number"),
        ("$skip=ten", "$skip", "should be a whole number"),
        ("$count=yes", "$count", "should be true or false"),
        ("$resultFormat=CSV", "$resultFormat", "should be dataArray"),
        ("$top=1&$Top=2", "$top", "given twice"),
        ("$fliter=x", "query", "no option '$fliter'; did you mean $filter?"),
        ("filter=x", "query", "written $filter"),
        ("$filter=%zz", "query", "'%' that encodes nothing"),
        ("$filter=%FF", "query", "not UTF-8"),
    ],
)
def test_options_that_cannot_be_read(text: str, option: str, reason: str) -> None:
    """Every option refuses what it cannot be, and says which option it was."""
    with pytest.raises(LanguageError) as caught:
        query(text, "Things")

    assert caught.value.option == option
    assert reason in str(caught.value)


def test_nodes_are_counted_over_the_whole_question() -> None:
    """Several options cannot each take all that is allowed."""
    listed = ",".join(map(str, range(MAX_NODES // 2)))

    with pytest.raises(LanguageError, match="more than 1000"):
        query(f"$filter=id in ({listed})&$orderby=id in ({listed})")


def things(key: int | None = None) -> Segment:
    """The things, or one of them."""
    return Segment("Things", "Things", key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ResourcePath()),
        ("/", ResourcePath()),
        ("Things", ResourcePath((things(),))),
        ("/Things/", ResourcePath((things(),))),
        ("Things(1)", ResourcePath((things(1),))),
        ("Things(-1)", ResourcePath((things(-1),))),
        ("Things(1)/Datastreams", ResourcePath((things(1), Segment("Datastreams", "Datastreams")))),
        (
            "Things(1)/Datastreams(2)/Observations",
            ResourcePath(
                (things(1), Segment("Datastreams", "Datastreams", 2), Segment("Observations", "Observations"))
            ),
        ),
        (
            "Observations(1)/FeatureOfInterest/feature",
            ResourcePath(
                (Segment("Observations", "Observations", 1), Segment("FeatureOfInterest", "FeaturesOfInterest")),
                ("feature",),
            ),
        ),
        ("Things(1)/name", ResourcePath((things(1),), ("name",))),
        ("Things(1)/@iot.id/$value", ResourcePath((things(1),), ("@iot.id",), "$value")),
        ("Things(1)/properties/a/0/$value", ResourcePath((things(1),), ("properties", "a", 0), "$value")),
        ("Things/$count", ResourcePath((things(),), (), "$count")),
        ("Things/$ref", ResourcePath((things(),), (), "$ref")),
        ("Things(1)/$ref", ResourcePath((things(1),), (), "$ref")),
    ],
)
def test_a_path_is_its_steps(text: str, expected: ResourcePath) -> None:
    """Sets, entities, navigations to one and to many, properties and what may follow them."""
    found = parse_path(text)

    assert found == expected
    assert found.many == (text.strip("/") in {"Things", "Things/$count", "Things/$ref"} or text.endswith("s"))


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("Thing", 0, "no 'Thing'; did you mean Things?"),
        ("things", 0, "no 'things'; did you mean Things?"),
        ("xyzzy", 0, "there are Things, Locations"),
        ("Things('1')", 7, "found \"'1'\" as an id; ids are integers: Things(1)"),
        ("Things()", 7, "ids are integers"),
        ("Things(1", 0, "is not a step of a path"),
        ("Things(1)x", 0, "is not a step of a path"),
        ("/Things/Datastreams", 8, "after a set of entities; name one: Things(1)"),
        ("Things(1)//name", 10, "no '' of Things"),
        ("Things(1)/Datastream", 10, "no 'Datastream' of Things; did you mean Datastreams?"),
        ("Things(1)/nmae", 10, "no 'nmae' of Things; did you mean name?"),
        ("Things(1)/name/de", 15, "found 'de' after name, which has no parts"),
        ("Datastreams(1)/Thing(2)", 15, "Thing is one entity already"),
        ("Things(1)/$value", 10, "it follows a property"),
        ("Things(1)/$count", 10, "it follows a set of entities"),
        ("$ref", 0, "it follows a set of entities or an entity"),
        ("Things/$cuont", 7, "no '$cuont'; did you mean $count?"),
        ("Things/$count/$count", 14, "after $count, which ends a path"),
        ("Things(1)/Datastreams(1)/Thing" + "/Datastreams(1)/Thing" * 8, 172, "more than 16 steps"),
    ],
)
def test_paths_that_lead_nowhere(text: str, position: int, reason: str) -> None:
    """A path is refused at the step that is wrong."""
    with pytest.raises(LanguageError) as caught:
        parse_path(text)

    assert reason in str(caught.value)
    assert (caught.value.option, caught.value.position) == ("path", position)


def test_ids_beyond_all_bounds_are_ids() -> None:
    """Nothing has them; that is for the caller to say, not an error of the language."""
    for digits in ("9" * 19, "9" * 5000, "0" * 5000 + "1"):
        key = parse_path(f"Things({digits})").segments[0].key

        assert key == (1 if digits.endswith("1") else min(int(digits[:30]), 10**20))


@given(resource_paths())
def test_paths_of_the_model_are_read(path: tuple[str, str]) -> None:
    """Whatever the model leads to has a path."""
    text, entity_set = path

    assert parse_path(text).segments[-1].entity_set == entity_set


def refused(read: Callable[[], object]) -> LanguageError | None:
    """Why a text is refused, if it is; any other error comes out."""
    try:
        read()
    except LanguageError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("entity_set", "text"),
    [
        (
            "Things",
            (
                "$filter=Datastreams/properties/serviceName%20eq%20'HH_STA'&$expand=Locations,Datastreams($filter="
                "properties/layerName%20eq%20'Anzahl_15-Min';$expand=Observations($top=1;$orderby=phenomenonTime%20desc;"
                "$select=result,phenomenonTime),ObservedProperty)&$count=true"
            ),
        ),
        (
            "Things",
            (
                "$filter=st_within(Locations/location,geography%27POLYGON%20((11.5%2050.9,11.6%2050.9,11.6%2051,"
                "11.5%2050.9))%27)&$select=@iot.id,@iot.selfLink,name,Datastreams&$orderby=@iot.id%20ASC"
            ),
        ),
        (
            "Observations",
            (
                "$filter=phenomenonTime+gt+now()+sub+duration'P1D'+and+Datastream/Thing/@iot.id+eq+1&$top=1000&$skip=5000"
                "&$resultFormat=dataArray&$select=phenomenonTime,result"
            ),
        ),
        (
            "Datastreams",
            (
                "$expand=Observations($filter=phenomenonTime ge 2026-06-10T00:00:00.000Z and phenomenonTime lt "
                "2026-06-11T00:00:00+02:00;$count=true;$top=0),Thing/Locations($select=location)"
            ),
        ),
    ],
)
def test_questions_that_clients_ask(entity_set: str, text: str) -> None:
    """The shapes in which maps, dashboards and scripts ask city platforms."""
    assert query(text, entity_set) != Query()


@given(urls())
def test_whole_urls_are_read(url: str) -> None:
    """What the grammar makes is understood, encoded in either way."""
    path, _, asked = url.partition("?")

    query(asked, parse_path(unquote(path)).segments[-1].entity_set)


@given(broken_urls())
def test_damaged_urls_are_refused_and_never_break_anything(url: str) -> None:
    """No error but the language's own comes out."""
    path, _, asked = url.partition("?")
    for entity_set in (None, "Things", "Observations"):
        found = refused(lambda entity_set=entity_set: query(asked, entity_set))  # type: ignore[misc]
        assert found is None or found.option in {*OPTIONS, "query"}
    refused(lambda: parse_path(unquote(path)))


_PIECES = st.sampled_from([*FUNCTIONS, *OPTIONS, *"()/,;'=-$@", "eq", "and", "not", "in", "null", "5", "'a'", " ", "x"])


@given(
    st.sampled_from(OPTIONS),
    st.sampled_from([None, "Things"]),
    st.text() | st.lists(_PIECES).map(" ".join) | st.lists(_PIECES).map("".join),
)
def test_any_text_is_read_or_refused(option: str, entity_set: str | None, text: str) -> None:
    """Text that nobody would write, as the value of each option and as a path."""
    found = refused(lambda: parse_query([(option, text)], entity_set))
    assert found is None or (found.option == option and 0 <= found.position <= len(text))

    found = refused(lambda: parse_path(text))
    assert found is None or (found.option == "path" and 0 <= found.position <= len(text))
