"""TI mmWave radars with people tracking, above all IWR6843 with 3D People Tracking: tracks of up to some 20 people.

The radar follows people by itself and sends, 10 to 20 times a second, a frame with the list of its tracks: id,
position and velocity in metres in its own frame of reference. A frame without any is its heartbeat. What the bytes are
is in `ti_frames`; how the radar is started, in `ti_command`. Sources: Texas Instruments, Radar Toolbox, 3D People
Counting and 3D People Tracking user guides and the Industrial Visualizer. docs/sensors/ti-people.md has wiring,
mounting and limits.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from footfall_edge.framer import BadFrameError, Frame
from footfall_edge.geometry import Mounting, Target
from footfall_edge.ti_command import configure
from footfall_edge.ti_frames import PROFILES, TARGET_LISTS, Packet, Profile, TiFramer, take_apart
from footfall_edge.tracker import Scan, TrackerDriver, TrackerSurvey, UnreadableError, Watch, lines_of

MOST_ID: Final = 249
"""Highest track id; 253 to 255 stand for points of nobody (TI, 3D People Tracking user guide)."""
FASTEST_M_S: Final = 10.0
"""Nobody walks or rides faster where people are counted."""
MOST_MISSES: Final = 40
"""Frames for which somebody is remembered whom the radar has lost: two seconds at 20 a second. It has its own patience
before that."""
_NUMBERS: Final = 1 << 32
_MOST_KINDS: Final = 40
"""Types of TLV that a survey keeps apart."""

ProfileName = Literal[
    "people-3d",
    "people-3d-xwrl6432",
    "people-3d-iwrl6844",
    "trackerproc-3d-40",
    "trackerproc-3d-108",
    "trackerproc-2d-28",
    "trackerproc-2d-68",
    "trackerproc-2d-72",
    "legacy-2d",
    "legacy-3d",
]


@dataclass(frozen=True, slots=True)
class TiEyes:
    """Reads the tracks of a frame. Remembers the last frame's number, by which a restart shows."""

    profile: Profile
    mounting: Mounting
    farthest_m: float
    min_confidence: float
    number: int | None = None
    warned: bool = False
    """It was said that there is a target list of another profile."""

    def look(self, frame: Frame) -> tuple["TiEyes", Scan]:
        """The people in `frame`, on the ground.

        A number that is lower than the last one is a restart. The same number again is looked at like any other frame:
        if it is a copy nobody moves with it, and if its number was spoilt on the line it is news.
        """
        try:
            packet = take_apart(frame.body, self.profile)
        except BadFrameError as error:
            raise UnreadableError(str(error)) from error
        targets, implausible = self._targets(packet)
        remark = "" if self.warned else _other_list(packet, self.profile)
        # Modulo 2³², where numbers begin again from 0 after years: less than half of them ahead is ahead.
        ahead = 1 if self.number is None else (packet.number - self.number) % _NUMBERS
        restarted = ahead >= _NUMBERS // 2
        if restarted:
            remark = remark or f"the radar started anew: frame {packet.number} after frame {self.number}"
        eyes = TiEyes(
            self.profile,
            self.mounting,
            self.farthest_m,
            self.min_confidence,
            packet.number,
            self.warned or bool(_other_list(packet, self.profile)),
        )
        missed = 0 if restarted else max(0, ahead - 1)
        return eyes, Scan(tuple(targets), implausible, restarted, missed, remark)

    def _targets(self, packet: Packet) -> tuple[list[Target], int]:
        targets: list[Target] = []
        implausible = 0
        far, sure = self.farthest_m, self.min_confidence
        ground = self.mounting.of_space
        for kind, payload in packet.tlvs:
            if kind != self.profile.target_tlv:
                continue
            for track, x, y, z, vx, vy, vz, confidence in self.profile.target.read(payload):
                # So written that NaN, which is in no order with anything, is not plausible.
                if (
                    track <= MOST_ID
                    and -far <= x <= far
                    and -far <= y <= far
                    and -far <= z <= far
                    and vx * vx + vy * vy + vz * vz <= FASTEST_M_S * FASTEST_M_S
                ):
                    if not sure or confidence >= sure:
                        targets.append(Target(*ground(x, y, z), track))
                else:
                    implausible += 1
        return targets, implausible


def _other_list(packet: Packet, profile: Profile) -> str:
    """A complaint if the frame has a target list that `profile` does not read; nobody would be seen, for ever."""
    for kind, _ in packet.tlvs:
        if kind in TARGET_LISTS and kind != profile.target_tlv:
            return (
                f"there is a target list of type {kind}, which is not read: profile {profile.name!r} has it as type "
                f"{profile.target_tlv}; another profile, or target_tlv = {kind}?"
            )
    return ""


class TiSurvey(TrackerSurvey):
    """What a probe learns of the radar: also its version, and the types of TLV that it sends."""

    def __init__(self, watch: Watch, mounting: Mounting, profile: Profile) -> None:
        super().__init__(watch, mounting)
        self._profile = profile
        self._kinds: Counter[int] = Counter()
        self._latest: Packet | None = None
        self._complaint = ""

    def see(self, frame: Frame) -> None:
        """Take note of a frame."""
        super().see(frame)
        try:
            self._latest = packet = take_apart(frame.body, self._profile)
        except BadFrameError:
            return  # counted as unreadable
        for kind, _ in packet.tlvs:
            if kind in self._kinds or len(self._kinds) < _MOST_KINDS:
                self._kinds[kind] += 1
        self._complaint = self._complaint or _other_list(packet, self._profile)

    def lines(self) -> list[str]:
        """What was learnt of the radar, for a person, one thing a line."""
        found = super().lines()
        if self._latest is not None:
            version = ".".join(str(part) for part in self._latest.version.to_bytes(4, "big"))
            found.append(f"platform 0x{self._latest.platform:x}, version {version}, profile {self._profile.name}")
            kinds = ", ".join(f"{kind} ({number}×)" for kind, number in sorted(self._kinds.items()))
            found.append(f"types of TLV: {kinds or 'none'}; targets are read from type {self._profile.target_tlv}")
        if self._complaint:
            found.append(self._complaint)
        return found


class TiPeople(TrackerDriver):
    """The driver called ``ti-people``."""

    usual_baud: ClassVar[int] = 921_600

    profile: ProfileName = Field("people-3d", description="which firmware is flashed")
    target_tlv: int | None = Field(
        None, ge=0, lt=_NUMBERS, description="type of the TLV with the targets; not set: the profile's"
    )
    farthest_m: float = Field(20, gt=0, le=200, description="metres; what is beyond in x, y or z cannot be")
    min_confidence: float = Field(
        0, ge=0, le=1, description="tracks of which the radar is less sure are not looked at; 0: all are"
    )
    command_port: str | None = Field(None, min_length=1, description="port to start the radar at; not set: it is not")
    command_baud: int = Field(115_200, ge=50, le=4_000_000, description="speed of that port")
    config_file: Path | None = Field(None, description="TI's .cfg, to be sent to it when it is silent")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        chosen = PROFILES[self.profile]
        if self.target_tlv is None and chosen.target_tlv is None:
            raise ValueError(
                f"profile {self.profile!r} needs target_tlv: the type of its target list differs from demo to demo"
            )
        if self.min_confidence and not chosen.target.has_confidence:
            raise ValueError(f"min_confidence: the targets of profile {self.profile!r} carry no confidence")
        if (self.command_port is None) != (self.config_file is None):
            raise ValueError("command_port and config_file belong together: set both or none")
        return self

    @property
    def firmware(self) -> Profile:
        """What the radar sends."""
        chosen = PROFILES[self.profile]
        if self.target_tlv is None:
            return chosen
        return replace(chosen, target_tlv=self.target_tlv)

    @property
    def other_ports(self) -> tuple[str, ...]:
        """The one that it is started at."""
        return () if self.command_port is None else (self.command_port,)

    def framer(self) -> TiFramer:
        """Frames of the profile."""
        return TiFramer(self.firmware)

    def watch(self) -> Watch:
        """Nothing seen yet."""
        eyes = TiEyes(self.firmware, self.mounting, self.farthest_m, self.min_confidence)
        return Watch(eyes, lines_of(self.line), numbered=True, most_misses=MOST_MISSES)

    def survey(self) -> TiSurvey:
        """A survey for a probe."""
        return TiSurvey(self.watch(), self.mounting, self.firmware)

    def rouse(self) -> str:
        """Send the configuration, if there is one to send."""
        if self.command_port is None or self.config_file is None:
            return ""
        return configure(self.command_port, self.command_baud, self.config_file)
