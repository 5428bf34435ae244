"""The city that is simulated: six sensors of five kinds in Jena's inner city, read by two boxes.

The stations and what their directions are called come from the stations file. How many people pass is made up, in the
order of magnitude of German inner cities; no count of these places went into it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from footfall_demo.history_csv import KnownStation
from footfall_demo.refusals import FailedError
from footfall_ingest import areas_file
from footfall_ingest.areas_file import Area, AreasError
from footfall_ingest.stations_file import Station, StationsError, read
from footfall_sim.calibration import Kind
from footfall_sim.pedestrians import Pedestrians, Place
from footfall_sim.settings import RADARS, SensorProtocol

ZONE = "Europe/Berlin"
AT_LEAST_PER_MIN = 4.0
"""Least passages per minute and counter while it is watched, so that something moves at night, too."""


@dataclass(frozen=True)
class Counter:
    """A simulated counter: who passes it, how well its clock goes, and what it speaks.

    The edge's driver has the name of the protocol.
    """

    sensor: str
    daily_mean: float
    kind: Kind
    in_share: float
    drift_ppm: float
    protocol: SensorProtocol = SensorProtocol.REFERENCE

    @property
    def shows(self) -> bool:
        """Whether it shows people, whom the box counts as well as it can, and counts nobody itself."""
        return self.protocol in RADARS

    def people(self, seed: int) -> Pedestrians:
        """The people that pass it, without the least number that a live run adds."""
        place = Place(self.sensor, self.daily_mean, self.kind, self.in_share)
        return Pedestrians(place, seed=seed, zone=ZoneInfo(ZONE))


@dataclass(frozen=True)
class Box:
    """An edge box and the counters on its lines."""

    node: str
    counters: tuple[Counter, ...]


BOXES = (
    Box(
        "jena-nord",
        (
            Counter("johannisstrasse-1", 16_000, Kind.SHOPPING, 0.51, 12),
            Counter("wagnergasse-1", 9_000, Kind.GASTRONOMY, 0.48, -23, SensorProtocol.LINE_JSON),
            Counter("kirchplatz-1", 7_000, Kind.GENERAL, 0.50, 4, SensorProtocol.LD2450),
        ),
    ),
    Box(
        "jena-sued",
        (
            Counter("markt-1", 12_000, Kind.GENERAL, 0.49, -8),
            Counter("holzmarkt-1", 21_000, Kind.GENERAL, 0.52, 31, SensorProtocol.MODBUS),
            Counter("loebderstrasse-1", 14_000, Kind.SHOPPING, 0.50, -15, SensorProtocol.TI_PEOPLE),
        ),
    ),
)
COUNTERS = tuple(counter for box in BOXES for counter in box.counters)


def file_of_jena(name: str) -> Path:
    """A GeoJSON file of Jena, its stations or its areas: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).parent
    packed = here / "jena" / name
    return packed if packed.exists() else here.parent / "jena" / name


def read_stations() -> tuple[Station, ...]:
    """The stations of Jena.

    Raises:
        FailedError: the installation lacks the file, or it is damaged.
    """
    try:
        return read(file_of_jena("stations.geojson"))
    except StationsError as error:
        raise FailedError(f"The stations cannot be read; the installation is damaged.\n{error}") from error


def read_areas() -> tuple[Area, ...]:
    """The areas of Jena, an example.

    Raises:
        FailedError: the installation lacks the file, or it is damaged.
    """
    try:
        return areas_file.read(file_of_jena("areas.geojson"))
    except AreasError as error:
        raise FailedError(f"The areas cannot be read; the installation is damaged.\n{error}") from error


def known_stations(stations: Sequence[Station]) -> dict[str, KnownStation]:
    """What an imported past must agree with."""
    return {
        station.id: KnownStation(
            longitude=station.position[0],
            latitude=station.position[1],
            sensors=tuple(sorted({part.sensor for part in station.sensors if part.role == "part"})),
            since=int(min((part.valid_from for part in station.sensors), default=_EVER).timestamp()),
        )
        for station in stations
    }


_EVER = datetime(1970, 1, 1, tzinfo=UTC)
