"""Where drivers come from: the edge's own table, and packages that are installed beside it."""

import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from footfall_edge import drivers
from footfall_edge.__main__ import main
from footfall_edge.clock import Moment
from footfall_edge.drivers import UnknownDriverError, driver_named, driver_names
from footfall_edge.reference import ReferenceCounter


def test_the_reference_driver_is_there() -> None:
    """Its name leads to it."""
    assert driver_named("reference") is ReferenceCounter
    assert "reference" in driver_names()


def test_an_unknown_driver_is_answered_with_those_there_are() -> None:
    """The message lists the names that can be used."""
    with pytest.raises(UnknownDriverError, match=r"no driver 'modbuss'; there are: ld2450, .*reference"):
        driver_named("modbuss")


def test_another_package_can_bring_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point in the group footfall.drivers is a driver; the edge's own cannot be replaced by one."""
    found = [
        EntryPoint("turnstile", "footfall_edge.reference:ReferenceCounter", drivers.ENTRY_POINTS),
        EntryPoint("reference", "nowhere:NOTHING", drivers.ENTRY_POINTS),
    ]
    monkeypatch.setattr(drivers, "entry_points", lambda group: found if group == "footfall.drivers" else [])

    assert driver_names() == sorted([*drivers.BUILT_IN, "turnstile"])
    assert driver_named("turnstile") is ReferenceCounter
    assert driver_named("reference") is ReferenceCounter


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("nowhere:Turnstile", "cannot be loaded: No module named 'nowhere'"),
        ("footfall_edge.reference:Turnstile", "cannot be loaded: module 'footfall_edge.reference' has no attribute"),
        ("footfall_edge.reference:ReferenceSurvey", "which is no footfall_edge.drivers.Driver"),
    ],
)
def test_a_broken_driver_of_a_package_is_a_sentence(
    value: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a package brings and cannot be loaded, or is no driver, is said with where it comes from; no traceback."""
    found = [EntryPoint("turnstile", value, drivers.ENTRY_POINTS)]
    monkeypatch.setattr(drivers, "entry_points", lambda group: found if group == drivers.ENTRY_POINTS else [])

    assert main(["probe", "--driver", "turnstile", "--port", "x"]) == 1
    assert f"driver 'turnstile' is installed as {value}" in (said := capsys.readouterr().err)
    assert sentence in said


def test_the_pages_own_driver_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The driver in docs/sensors/new-driver.md, installed as the page says, is found, counts and measures."""
    page = (Path(__file__).parents[2] / "docs" / "sensors" / "new-driver.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "my_turnstile.py").write_text(code)
    about = tmp_path / "my_turnstile-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-turnstile\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[footfall.drivers]\nturnstile = my_turnstile:Turnstile\n")
    (tmp_path / "ticks.bin").write_bytes(b".<.<.>.")
    monkeypatch.syspath_prepend(tmp_path)

    assert main(["probe", "--driver", "turnstile", "--port", f"replay:{tmp_path / 'ticks.bin'}"]) == 0
    for said in capsys.readouterr().out.splitlines():
        assert said in page
    driver = driver_named("turnstile")(swapped=True)
    framer, session = driver.framer(), driver.session([], slot_s=10)
    at = 100.0
    for frame in framer.feed(b".<.x<.>."):
        session = session.heard(frame, Moment(1_764_072_000_000 + round((at - 100) * 1000), at)).session
        at += 0.01
    step = session.closed(Moment(1_764_072_000_070, at))
    assert step.booking is not None
    (count,) = step.booking.counts
    assert (sorted(count.passages), count.measured_ms) == ([(0, 0, 1), (1, 0, 2)], 60)
