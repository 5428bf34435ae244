"""Which device a ``[[sensor]]`` of the settings is: built from them, and switched on."""

from footfall_sim.device import Device, ReferenceDevice
from footfall_sim.firmware import Design
from footfall_sim.line_json import LineJsonCounter, LineJsonDesign
from footfall_sim.memory import Store
from footfall_sim.modbus import ModbusCounter, ModbusDesign
from footfall_sim.settings import LineJsonSettings, ModbusSettings, SensorProtocol, SensorSettings, TallySettings
from footfall_sim.tally import TallyDesign

DELIMITERS: dict[SensorProtocol, bytes | None] = {
    SensorProtocol.REFERENCE: b"\0",
    SensorProtocol.MODBUS: None,
    SensorProtocol.LINE_JSON: b"\n",
    SensorProtocol.LD2450: None,
    SensorProtocol.TI_PEOPLE: None,
}
"""What ends a frame; None: nothing does, its length is known otherwise."""


def power_on(settings: SensorSettings, store: Store, now: float) -> Device:
    """The device on its memory, just switched on.

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


def _tally(settings: SensorSettings, own: TallySettings, *, spent: bool = False) -> TallyDesign:
    return TallyDesign(settings.device, own.memory, (own.in_start, own.out_start), spent)
