"""Where drivers come from: the edge's own table, and packages that are installed beside it."""

from importlib.metadata import EntryPoint

import pytest

from footfall_edge import drivers
from footfall_edge.drivers import UnknownDriverError, driver_named, driver_names
from footfall_edge.reference import ReferenceCounter
from footfall_edge.settings import SensorSettings


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


@pytest.mark.parametrize("value", ["nowhere:NOTHING", "footfall_edge.reference:NOTHING"])
def test_a_driver_that_cannot_be_loaded_is_said(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """In a sentence, also where it stands in edge.toml."""
    found = [EntryPoint("turnstile", value, drivers.ENTRY_POINTS)]
    monkeypatch.setattr(drivers, "entry_points", lambda group: found if group == "footfall.drivers" else [])

    with pytest.raises(UnknownDriverError, match=r"driver 'turnstile' is installed and cannot be loaded: .*\w"):
        SensorSettings.given({"id": "a", "driver": "turnstile", "port": "/dev/ttyUSB0"})
