"""What Prometheus may ask an edge. Counters run since the process started."""

from typing import Final

from prometheus_client import Counter, Gauge

from footfall_edge.clock import ClockError, kernel_is_synchronised

_SENSOR: Final = ["sensor"]

FRAMES = Counter("footfall_edge_frames_total", "Frames that passed every check of their framing", _SENSOR)
BAD_FRAMES = Counter("footfall_edge_bad_frames_total", "Frames that failed a check", _SENSOR)
SKIPPED_BYTES = Counter("footfall_edge_skipped_bytes_total", "Bytes on the line that belong to no good frame", _SENSOR)
LINE_RESTARTS = Counter("footfall_edge_line_restarts_total", "Times the line was opened again", _SENSOR)
OUTCOMES = Counter("footfall_edge_frame_outcomes_total", "What became of good frames", ["sensor", "outcome"])
PASSAGES = Counter("footfall_edge_passages_total", "Passages stored in the outbox", _SENSOR)
RECOVERED_PASSAGES = Counter(
    "footfall_edge_recovered_passages_total", "Of these, known only from running totals or not placed in time", _SENSOR
)
REPEATED_PASSAGES = Counter(
    "footfall_edge_repeated_passages_total", "Of these, counted while the clock repeated itself", _SENSOR
)
SILENT_SLOTS = Counter("footfall_edge_silent_slots_total", "Slots in which nothing was heard of the sensor", _SENSOR)
REFUSED_UPLINKS = Counter(
    "footfall_edge_refused_uplinks_total",
    "Messages of a network server that are no uplink of a device here",
    ["reason"],
)
OUTBOX_ERRORS = Counter("footfall_edge_outbox_errors_total", "Times the outbox could not be written; nothing was told")
PUBLISHES = Counter("footfall_edge_publishes_total", "Reports handed to the MQTT client for the first time", _SENSOR)
RESENDS = Counter("footfall_edge_resends_total", "Reports handed to it again", _SENSOR)
COMMITS = Counter("footfall_edge_commits_total", "Reports that ingest said are stored")
REOPENED = Counter("footfall_edge_reopened_reports_total", "Reports to send again because the database was restored")
NOTICES = Counter("footfall_edge_notices_total", "Commit notices", ["outcome"])
CONNECTED = Gauge("footfall_edge_connected", "1 while the broker is connected")
NAMESAKES = Gauge("footfall_edge_namesakes", "Other boxes that answer to the name of this node")
OUTBOX_REPORTS = Gauge("footfall_edge_outbox_reports", "Numbered reports in the outbox", ["state"])
OUTBOX_SLOTS = Gauge("footfall_edge_outbox_slots", "Slots not known to be stored", _SENSOR)
OUTBOX_HELD = Gauge("footfall_edge_outbox_held_slots", "Slots that wait for a person's decision", _SENSOR)
DAMAGED_REPORTS = Counter(
    "footfall_edge_damaged_reports_total", "Reports whose bytes changed on the disk, set aside", _SENSOR
)
MENDINGS = Counter("footfall_edge_outbox_mendings_total", "Times a damaged outbox was replaced when it was opened")
OUTBOX_BYTES = Gauge("footfall_edge_outbox_bytes", "Bytes used of the outbox file")
OUTBOX_OVER = Gauge(
    "footfall_edge_outbox_over_budget", "1 while space is short although all that may go has gone; nothing is lost"
)
OUTBOX_RESERVE = Gauge("footfall_edge_outbox_reserve_bytes", "Room kept beside the outbox for a full disk")
FORGOTTEN_EARLY = Counter(
    "footfall_edge_forgotten_early_total", "Stored reports forgotten before their time because space was short"
)
COARSENED = Counter(
    "footfall_edge_coarsened_slots_total", "Slots put into coarser ones because space was short", ["step"]
)
OLDEST_WAITING = Gauge("footfall_edge_oldest_waiting_seconds", "Age of the oldest thing not known to be stored")
CLOCK_TRUSTED = Gauge(
    "footfall_edge_clock_trusted", "1 while slots are stamped; 0: what is counted waits for the clock to be set"
)
CLOCK_SYNCHRONISED = Gauge(
    "footfall_edge_clock_synchronised",
    "1 while the kernel says that its clock is synchronised; NaN where it does not say",
)


def _synchronised() -> float:
    try:
        return kernel_is_synchronised()
    except ClockError:
        return float("nan")


CLOCK_SYNCHRONISED.set_function(_synchronised)
