"""Write an answer as Parquet: typed columns that pandas, DuckDB, R and QGIS read as they are.

Row groups are written as blocks come and taken out of the sink at once, so that memory does not grow with the answer.
The first block is a row group of its own, so that the first bytes leave early; then blocks are gathered, because a
reader pays for each row group. What stands around the values elsewhere is in the file's key-value metadata.

A module of its own, imported when the first Parquet is asked for: pyarrow takes more memory than the rest of the API.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from footfall_api.counts import Block
from footfall_api.writing import Sheet

ROW_GROUP: Final = 131_072
"""Rows from which a row group is written, the first and the last one excepted."""

_WORD: Final = pa.dictionary(pa.int32(), pa.string())
_MOMENT: Final = pa.timestamp("ms", tz="UTC")

_FIELDS: Final = (
    pa.field("station", _WORD, nullable=False),
    pa.field("interval_start", _MOMENT, nullable=False),
    pa.field("interval_end", _MOMENT, nullable=False),
    pa.field("direction", _WORD, nullable=False),
    pa.field("class", _WORD, nullable=False),
    pa.field("sensor", _WORD, nullable=False),
    pa.field("count", pa.int64()),
    pa.field("coverage", pa.float64()),
    pa.field("state", _WORD, nullable=False),
    pa.field("reason", _WORD),
    pa.field("final", pa.bool_(), nullable=False),
)

_AREA_FIELDS: Final = (pa.field("area", _WORD), pa.field("carried_by", pa.list_(pa.string())))


class ParquetWriter:
    """Parquet with zstd."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._schema = _schema(sheet)
        self._sink = _Sink()
        self._file = pq.ParquetWriter(pa.PythonFile(self._sink, mode="w"), self._schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []
        self._begun = False

    def block(self, block: Block) -> list[bytes]:
        """The row group that is full with this block, if one is."""
        self._waiting.append(pa.record_batch(self._arrays(block), schema=self._schema))
        if not self._begun or sum(batch.num_rows for batch in self._waiting) >= ROW_GROUP:
            self._write()
        return self._sink.take()

    def end(self) -> bytes:
        """What waits, and the footer."""
        if self._waiting:
            self._write()
        self._file.close()
        return b"".join(self._sink.take())

    def _write(self) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema).combine_chunks()
        self._file.write_table(table, row_group_size=max(1, table.num_rows))
        self._waiting = []
        self._begun = True

    def _arrays(self, block: Block) -> list[pa.Array]:
        columns, size = block.columns, len(block.edges_s) - 1
        moments = pa.array([edge_s * 1000 for edge_s in block.edges_s], pa.int64()).cast(_MOMENT)
        rows = pa.array([i for i in range(size) for _ in columns], pa.int64())
        groups = [block.answers_of(column) for column in columns]
        answers = [answers[i] for i in range(size) for answers in groups]
        counts = [column.counts for column in columns]
        numbers = [count[i] for i in range(size) for count in counts]
        arrays = [
            _repeated([column.station for column in columns], size),
            moments.take(rows),
            moments.slice(1).take(rows),
            _repeated([column.direction for column in columns], size),
            _repeated([column.class_ for column in columns], size),
            _repeated([column.sensor for column in columns], size),
            pa.array([n if a.counted else None for n, a in zip(numbers, answers, strict=True)], pa.int64()),
            pa.array([answer.coverage for answer in answers], pa.float64()),
            pa.array([str(answer.state) for answer in answers]).dictionary_encode().cast(_WORD),
            pa.array([answer.reason and str(answer.reason) for answer in answers], pa.string()).dictionary_encode(),
            pa.array([answer.final for answer in answers], pa.bool_()),
        ]
        if self._sheet.has_areas:
            series = [self._sheet.series[column.group] for column in columns]
            carried = [
                None if one.area is None else block.carried(column.group, i)
                for i in range(size)
                for column, one in zip(columns, series, strict=True)
            ]
            arrays += [_repeated([one.area for one in series], size), pa.array(carried, pa.list_(pa.string()))]
        return arrays


def _repeated(words: Sequence[str | None], times: int) -> pa.DictionaryArray:
    """The words of a line of columns, again for each interval."""
    known = list(dict.fromkeys(word for word in words if word is not None))
    places = [None if word is None else known.index(word) for word in words]
    return pa.DictionaryArray.from_arrays(pa.array(places * times, pa.int32()), pa.array(known, pa.string()))


def _schema(sheet: Sheet) -> pa.Schema:
    """The columns, and as metadata what the JSON answer says around its values."""
    fields = (*_FIELDS, *(_AREA_FIELDS if sheet.has_areas else ()))
    said: dict[str, Any] = sheet.head()
    return pa.schema(
        fields,
        {
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in said.items()
        },
    )


class _Sink:
    """A file that hands out what was written to it; it keeps nothing but how much that was."""

    closed = False

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._position = 0

    def write(self, data: bytes | memoryview) -> int:
        """Keep the bytes until they are taken."""
        piece = bytes(data)
        self._written.append(piece)
        self._position += len(piece)
        return len(piece)

    def take(self) -> list[bytes]:
        """What was written since the last time, in one piece; nothing if nothing was."""
        written, self._written = self._written, []
        return [b"".join(written)] if written else []

    def tell(self) -> int:
        """How much was written in all."""
        return self._position

    def flush(self) -> None:
        """There is nothing to wait for."""

    def close(self) -> None:
        """There is nothing to close."""
