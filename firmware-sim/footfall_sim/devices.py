"""Which device a ``[[sensor]]`` of the settings is: built from them, and switched on."""

from dataclasses import replace

from footfall_sim.device import Device, ReferenceDevice
from footfall_sim.firmware import Design
from footfall_sim.line_json import LineJsonCounter, LineJsonDesign
from footfall_sim.memory import Store
from footfall_sim.modbus import ModbusCounter, ModbusDesign
from footfall_sim.radar import Weaknesses
from footfall_sim.radar_sensor import RadarDesign, RadarSensor
from footfall_sim.settings import (
    RADARS,
    LineJsonSettings,
    LineSettings,
    ModbusSettings,
    MountingSettings,
    SensorProtocol,
    SensorSettings,
    TallySettings,
    WeaknessSettings,
)
from footfall_sim.tally import TallyDesign
from footfall_sim.ti_people import PROFILES
from footfall_sim.view import IWR6843, LD2450

DELIMITERS: dict[SensorProtocol, bytes | None] = {
    SensorProtocol.REFERENCE: b"\0",
    SensorProtocol.MODBUS: None,
    SensorProtocol.LINE_JSON: b"\n",
    SensorProtocol.LD2450: None,
    SensorProtocol.TI_PEOPLE: None,
}
"""What ends a frame; None: nothing does, its length is known otherwise."""


def power_on(
    settings: SensorSettings, store: Store, now: float, *, seed: int = 1, before: Device | None = None
) -> Device:
    """The device on its memory, just switched on. `before` is what it was until its power failed.

    Raises UnusableMemoryError if the store's image is damaged or belongs to another device.
    """
    match settings:
        case SensorSettings(protocol=SensorProtocol.MODBUS, modbus=ModbusSettings() as own):
            design = ModbusDesign(
                slave=own.slave,
                in_address=own.in_address,
                out_address=own.out_address,
                width=own.width,
                word_order=own.word_order,
                uptime_address=own.uptime_address,
                turnaround_s=own.turnaround_ms / 1000,
            )
            return ModbusCounter(store, now, design, _tally(settings, own), settings.drift_ppm)
        case SensorSettings(protocol=SensorProtocol.LINE_JSON, line_json=LineJsonSettings() as own):
            lines = LineJsonDesign(
                increments=own.increments,
                every_s=own.every_s or None,
                at_passage=own.at_passage,
                uptime=own.uptime,
                checksum=own.checksum,
            )
            return LineJsonCounter(store, now, lines, _tally(settings, own, spent=own.increments), settings.drift_ppm)
    if settings.protocol in RADARS:
        known = before if isinstance(before, RadarSensor) else None
        return RadarSensor(store, now, _radar(settings, seed), TallyDesign(settings.device), known)
    return ReferenceDevice(
        store,
        now,
        Design(
            device=settings.device,
            interval_ms=settings.interval_s * 1000,
            ring=settings.ring,
            drift_ppm=settings.drift_ppm,
            baud=settings.line_baud,
        ),
    )


def _radar(settings: SensorSettings, seed: int) -> RadarDesign:
    line = settings.line or LineSettings()
    mounting = settings.mounting or MountingSettings()
    given = settings.weaknesses or WeaknessSettings()
    eyes = LD2450 if settings.protocol is SensorProtocol.LD2450 else IWR6843
    if given.noise_m is not None:
        eyes = replace(eyes, noise_m=given.noise_m, noise_limit_m=max(eyes.noise_limit_m, 3 * given.noise_m))
    if given.drop is not None:
        eyes = replace(eyes, drop=given.drop)
    if given.ghosts_per_h is not None:
        eyes = replace(eyes, ghosts_per_min=given.ghosts_per_h / 60)
    return RadarDesign(
        settings.protocol.value,
        line.on_the_ground(),
        mounting.in_place(),
        Weaknesses(eyes),
        PROFILES[settings.profile],
        f"{seed} {settings.id}",
    )


def _tally(settings: SensorSettings, own: TallySettings, *, spent: bool = False) -> TallyDesign:
    return TallyDesign(settings.device, own.memory, (own.in_start, own.out_start), spent)
