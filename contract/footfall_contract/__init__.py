"""The vocabulary of footfall and its contract on MQTT: topics, reports, commit notices, status and health.

`footfall_contract.batch`, which reads many reports at once, is not imported here: it needs numpy, and an edge box
does not.
"""

from __future__ import annotations

from footfall_contract import topics
from footfall_contract.errors import ContractError, Identity
from footfall_contract.notice import CommitNotice, StreamState, decode_notice, encode_notice
from footfall_contract.report import SlotReport, decode, encode_cbor, encode_json
from footfall_contract.state import NodeStatus, SensorHealth, decode_health, decode_status, encode_health, encode_status
from footfall_contract.topics import Topic
from footfall_contract.words import (
    ID_PATTERN,
    MAX_BYTES,
    MAX_SLOTS,
    MAX_SPAN_S,
    SLOT_LENGTHS_S,
    Direction,
    PassageClass,
    check_id,
)

__version__ = "0.1.0"

__all__ = [
    "ID_PATTERN",
    "MAX_BYTES",
    "MAX_SLOTS",
    "MAX_SPAN_S",
    "SLOT_LENGTHS_S",
    "CommitNotice",
    "ContractError",
    "Direction",
    "Identity",
    "NodeStatus",
    "PassageClass",
    "SensorHealth",
    "SlotReport",
    "StreamState",
    "Topic",
    "__version__",
    "check_id",
    "decode",
    "decode_health",
    "decode_notice",
    "decode_status",
    "encode_cbor",
    "encode_health",
    "encode_json",
    "encode_notice",
    "encode_status",
    "topics",
]
