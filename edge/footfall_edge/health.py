"""How a sensor and its line are doing, judged from what its line told. Pure but for the counters it keeps."""

from footfall_contract.state import HealthState, SensorHealth
from footfall_edge.clock import Moment
from footfall_edge.drivers import Device
from footfall_edge.events import Closed, Heard, Opened
from footfall_edge.framer import LineCounts


class LineHealth:
    """The health of one sensor.

    ``fault``: the line cannot be opened or was lost, or the device complains. ``silent``: no valid frame came for
    `silent_s` seconds, or none ever. Else ``ok``.
    """

    def __init__(self, sensor: str, silent_s: float, now: Moment) -> None:
        self.counts = LineCounts()
        self.restarts = 0
        """How often the line was opened again."""
        self._sensor = sensor
        self._silent_s = silent_s
        self._fault = ""
        self._opened_before = False
        self._bad_frame = ""
        self._last_frame_s: float | None = None
        self._state: HealthState = "silent"
        self._since_s = now.monotonic_s

    def note(self, event: Opened | Closed | Heard) -> None:
        """Something happened on the line."""
        if isinstance(event, Opened):
            self.restarts += self._opened_before
            self._opened_before = True
            self._fault = ""
        elif isinstance(event, Closed):
            # Opening a silent line again and again is our way of helping it; the line itself has no fault.
            self._fault = "" if event.silent else event.reason
        else:
            self.counts = event.counts
            self._bad_frame = event.last_fault
            if event.frames:
                self._last_frame_s = event.at.monotonic_s

    def judge(self, now: Moment, device: Device) -> bool:
        """Form an opinion on the state at `now`; True if it differs from the last."""
        state = self._state_at(now, device)
        changed = state != self._state
        if changed:
            self._state, self._since_s = state, now.monotonic_s
        return changed

    def message(self, now: Moment, device: Device, waiting_slots: int, held_slots: int = 0) -> SensorHealth:
        """The health as it was last judged, to publish at `now`. Times are 0 or None while the clock is not trusted.

        `held_slots` wait for a person's decision about the outbox.
        """
        last = None if self._last_frame_s is None else now.utc_ms_of(self._last_frame_s)
        return SensorHealth(
            sensor=self._sensor,
            state=self._state,
            since=max(0, now.utc_ms_of(self._since_s) or 0) // 1000,
            frames=self.counts.frames,
            bad_frames=self.counts.bad_frames,
            skipped_bytes=self.counts.skipped_bytes,
            restarts=self.restarts,
            waiting_slots=waiting_slots,
            last_frame=None if last is None else max(0, last) // 1000,
            detail=self._detail(now, device, held_slots),
        )

    def _state_at(self, now: Moment, device: Device) -> HealthState:
        if self._fault or device.trouble:
            return "fault"
        if self._last_frame_s is None or now.monotonic_s - self._last_frame_s > self._silent_s:
            return "silent"
        return "ok"

    def _detail(self, now: Moment, device: Device, held_slots: int) -> str:
        parts = [
            self._fault,
            device.trouble,
            "" if now.utc_ms is not None else "waiting for the clock to be synchronised",
            f"{held_slots} slots on hold: footfall-edge outbox says why" if held_slots else "",
            f"firmware {device.firmware}" if device.firmware else "",
            f"last bad frame: {self._bad_frame}" if self._bad_frame else "",
        ]
        return "; ".join(part for part in parts if part)
