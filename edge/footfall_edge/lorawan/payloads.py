"""The makes of counters that are known, and `decode`: a device's bytes → `Reading`."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, TypeAlias

from footfall_edge.lorawan.imbuildings import decode_imbuildings
from footfall_edge.lorawan.milesight import decode_beam, decode_camera, decode_tof
from footfall_edge.lorawan.parametric import decode_pcr2
from footfall_edge.lorawan.reading import Reading, shown

_Decoder: TypeAlias = Callable[[int, bytes, int], Reading]
"""FPort, payload (not empty), line."""


class Make(StrEnum):
    """Makes of counters; a network server does not tell which one a device is."""

    PCR2 = "parametric-pcr2"
    VS121 = "milesight-vs121"
    VS132 = "milesight-vs132"
    VS133 = "milesight-vs133"
    VS135 = "milesight-vs135"
    VS350 = "milesight-vs350"
    VS360 = "milesight-vs360"
    IMBUILDINGS = "imbuildings"


_DECODERS: Final[Mapping[Make, _Decoder]] = {
    Make.PCR2: decode_pcr2,
    Make.VS121: decode_camera,
    Make.VS132: decode_tof,
    Make.VS133: decode_tof,
    Make.VS135: decode_tof,
    Make.VS350: decode_beam,
    Make.VS360: decode_beam,
    Make.IMBUILDINGS: decode_imbuildings,
}

_LINES: Final[Mapping[Make, int]] = {Make.VS133: 4, Make.VS135: 4}


def lines_of(make: Make) -> int:
    """How many lines a device of `make` counts at; each is a sensor of its own."""
    return _LINES.get(make, 1)


def decode(make: Make, f_port: int, payload: bytes, *, line: int = 1) -> Reading:
    """What a device of `make` said with `payload` on `f_port`, of its line `line`.

    An uplink without payload, or on FPort 0, is for the network alone and says nothing of passages.

    Raises:
        PayloadError: it is none of the payloads of that make.
        ValueError: the make has no such line.
    """
    if not 1 <= line <= lines_of(make):
        raise ValueError(f"line {line}; {make} has lines 1 to {lines_of(make)}")
    if not payload:
        return Reading()
    if f_port == 0:
        return Reading(remarks=(f"{shown(payload)} on FPort 0, which belongs to the network, were not decoded",))
    return _DECODERS[make](f_port, payload, line)
