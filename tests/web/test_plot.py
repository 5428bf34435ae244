"""Charts as data: what the script is given, and that nothing in it can leave its block."""

import json

from footfall_api.pages.plot import Band, Mark, Plot, Series, runs


def test_runs_are_half_open_ranges() -> None:
    """Neighbouring indexes are one range, whose end is the first index behind it."""
    assert runs([True, True, False, True, False, False, True]) == [(0, 2), (3, 4), (6, 7)]
    assert runs([]) == []


def test_the_script_gets_every_field_of_its_spec() -> None:
    """Names are those that plot.js reads; None stays null, so that a gap is no zero."""
    plot = Plot(
        kind="lines",
        title="Markt",
        source="Jena",
        unit="Passagen je Stunde",
        x=["2026-03-01T00:00:00+01:00", "2026-03-01T01:00:00+01:00"],
        series=[Series("Richtung Markt", "in", [3, None], band=Band([1, None], [5, None]))],
        words={"gap": "nicht gemessen"},
        zone="Europe/Berlin",
        resolution="1h",
        partial=[0],
        gaps=[(1, 2)],
        remarks=[Mark(0, 1, "works", "Gerüst")],
    )

    assert json.loads(plot.json) == {
        "kind": "lines",
        "title": "Markt",
        "source": "Jena",
        "unit": "Passagen je Stunde",
        "zone": "Europe/Berlin",
        "xkind": "time",
        "resolution": "1h",
        "x": ["2026-03-01T00:00:00+01:00", "2026-03-01T01:00:00+01:00"],
        "y": [],
        "series": [
            {
                "name": "Richtung Markt",
                "colour": "in",
                "values": [3, None],
                "mirror": False,
                "band": {"low": [1, None], "high": [5, None]},
            }
        ],
        "partial": [0],
        "gaps": [[1, 2]],
        "remarks": [{"from": 0, "to": 1, "kind": "works", "text": "Gerüst"}],
        "words": {"gap": "nicht gemessen"},
        "file": "footfall",
        "digits": 0,
        "top": 0,
    }


def test_no_text_ends_the_data_block() -> None:
    """A remark with a closing script tag stays text."""
    plot = Plot("bars", "t", "s", "u", ["</script><b>"], [], {"gap": "</script>"}, xkind="label")

    assert "<" not in plot.json
    assert json.loads(plot.json)["x"] == ["</script><b>"]
