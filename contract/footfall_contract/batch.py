"""Many reports at once, as numpy columns: what ingest reads.

`decode_batch` accepts, refuses and yields what `report.decode` does. Nearly all payloads have the one layout that
`report.encode_cbor` writes, and those are read together (`_layout`). Whatever differs from it in anything, or has a
wrong value anywhere, goes through `report.decode` by itself: every error is made there, and only there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from footfall_contract._layout import read_usual
from footfall_contract.columns import Refusal, ReportBatch, from_reports, merged
from footfall_contract.errors import ContractError
from footfall_contract.report import SlotReport, decode

__all__ = ["Refusal", "ReportBatch", "decode_batch"]


def decode_batch(payloads: Sequence[bytes]) -> ReportBatch:
    """Return the reports among `payloads` as columns, and the other payloads as refusals.

    Raises nothing, whatever the payloads are.
    """
    usual = read_usual(payloads)
    if len(usual) == len(payloads):
        return usual
    left = np.ones(len(payloads), np.bool_)
    left[usual.position] = False
    reports: list[SlotReport] = []
    positions: list[int] = []
    refused: list[Refusal] = []
    for position in np.flatnonzero(left).tolist():
        try:
            reports.append(decode(payloads[position]))
            positions.append(position)
        except ContractError as error:
            refused.append(Refusal(position, error))
    return replace(merged(usual, from_reports(reports, positions)), refused=tuple(refused))
