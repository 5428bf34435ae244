"""The pages of an SQLite file, read without SQLite: for a file that SQLite does not read any more.

`Pages` gives the pages as they were after the last commit, those in the write-ahead log included, and changes nothing.
`rows_of` gives the rows that lie on one page, wherever in the file it is and whatever became of the pages that lead to
it, and says whether the page as a whole is as SQLite would have written it.

The format is described at https://www.sqlite.org/fileformat2.html.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from footfall_edge.schema import Value

PAGE_SIZE: Final = 4096
"""Bytes; what SQLite takes for a new file."""

_INDEX_INTERIOR: Final = 2
_INDEX_LEAF: Final = 10
_TABLE_LEAF: Final = 13
_MAX_ROW: Final = 1 << 20
"""Bytes. A longer row is none of ours: a report has 64 KiB at the most."""

_WAL_HEADER: Final = struct.Struct(">IIIIIIII")
_FRAME_HEADER: Final = struct.Struct(">IIIIII")


class _BrokenError(ValueError):
    """These bytes are not what SQLite would have written."""


class Pages:
    """The pages of the file at `path`, with those of its write-ahead log."""

    def __init__(self, path: Path) -> None:
        self._file = _open(path)
        self._wal = _open(path.with_name(path.name + "-wal"))
        self.count = 0
        """How many there are; the last may be cut short."""
        if self._file is not None:
            self.count = -(-os.fstat(self._file).st_size // PAGE_SIZE)
        self._logged: dict[int, int] = {}
        if self._wal is not None:
            self._logged, size = _committed(self._wal)
            self.count = max(self.count, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self._file, self._wal):
            if file is not None:
                os.close(file)

    def page(self, number: int) -> bytes:
        """Page `number`, from 1 on; zeros where the file has nothing or cannot be read."""
        try:
            if self._wal is not None and number in self._logged:
                data = os.pread(self._wal, PAGE_SIZE, self._logged[number])
            elif self._file is not None:
                data = os.pread(self._file, PAGE_SIZE, (number - 1) * PAGE_SIZE)
            else:
                data = b""
        except OSError:
            data = b""
        return data.ljust(PAGE_SIZE, b"\0")


def is_log(wal: Path) -> bool:
    """Whether the file at `wal` is a write-ahead log that SQLite would read; it may have no transaction yet."""
    file = _open(wal)
    if file is None:
        return False
    try:
        return _log_start(file) is not None
    finally:
        os.close(file)


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _log_start(wal: int) -> tuple[str, list[int], tuple[int, int]] | None:
    """Byte order of the checksums, salts, and the checksum to go on from; None if this is no log of ours."""
    try:
        header = os.pread(wal, _WAL_HEADER.size, 0)
        magic, _, size, _, *salts, first, second = _WAL_HEADER.unpack(header)
    except (OSError, struct.error):
        return None
    order = ">" if magic & 1 else "<"
    sums = _checksum(order, header[:24], (0, 0))
    if magic & ~1 != 0x377F0682 or size != PAGE_SIZE or sums != (first, second):
        return None
    return order, salts, sums


def _committed(wal: int) -> tuple[dict[int, int], int]:
    """Page → where the log has its newest committed image; and how many pages the file has after that commit."""
    start = _log_start(wal)
    if start is None:
        return {}, 0
    order, salts, sums = start
    committed: dict[int, int] = {}
    pending: dict[int, int] = {}
    count, at = 0, _WAL_HEADER.size
    while True:
        try:
            frame = os.pread(wal, _FRAME_HEADER.size + PAGE_SIZE, at)
        except OSError:
            break
        if len(frame) < _FRAME_HEADER.size + PAGE_SIZE:
            break
        number, commit, *rest = _FRAME_HEADER.unpack_from(frame)
        sums = _checksum(order, frame[:8] + frame[_FRAME_HEADER.size :], sums)
        if rest != [*salts, *sums]:
            break
        pending[number] = at + _FRAME_HEADER.size
        at += len(frame)
        if commit:
            committed |= pending
            pending, count = {}, commit
    return committed, count


def _checksum(order: str, data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


@dataclass(frozen=True, slots=True)
class PageRows:
    """What lies on one page."""

    rows: Sequence[tuple[Value, ...]]
    """Those that could be read; the row number comes first where the table has one, in the place of a NULL."""
    whole: bool
    """Whether everything on the page could be read, and nothing on it contradicts anything else on it."""


def rows_of(pages: Pages, number: int) -> PageRows | None:
    """The rows on page `number`; None if it is none that could hold any."""
    page = pages.page(number)
    head = 100 if number == 1 else 0
    kind = page[head]
    if kind not in (_INDEX_INTERIOR, _INDEX_LEAF, _TABLE_LEAF):
        return None
    rows: list[tuple[Value, ...]] = []
    taken: list[tuple[int, int]] = []
    whole = True
    pointers = head + (12 if kind == _INDEX_INTERIOR else 8)
    (cells,) = struct.unpack_from(">H", page, head + 3)
    cells = min(cells, (PAGE_SIZE - pointers) // 2)
    for (pointer,) in struct.iter_unpack(">H", page[pointers : pointers + 2 * cells]):
        try:
            row, end = _cell(pages, page, kind, pointer)
        except (_BrokenError, IndexError, struct.error, UnicodeDecodeError):
            whole = False
            continue
        taken.append((pointer, end))
        rows.append(row)
    return PageRows(rows, whole and _fills(page, head, pointers + 2 * cells, taken))


def _fills(page: bytes, head: int, pointers_end: int, taken: list[tuple[int, int]]) -> bool:
    """Whether cells and free blocks fill the content area of the page without a gap or an overlap."""
    free, _, content, fragments = struct.unpack_from(">HHHB", page, head + 1)
    content = content or 65536
    if not pointers_end <= content <= PAGE_SIZE:
        return not taken and content == PAGE_SIZE
    parts = list(taken)
    while free:
        if free < content or free + 4 > PAGE_SIZE:
            return False
        following, size = struct.unpack_from(">HH", page, free)
        parts.append((free, free + size))
        if following and following <= free:
            return False
        free = following
    at, gaps = content, 0
    for start, end in sorted(parts):
        if start < at or end > PAGE_SIZE:
            return False
        gaps += start - at
        at = end
    return bool(gaps + PAGE_SIZE - at == fragments)


def _cell(pages: Pages, page: bytes, kind: int, at: int) -> tuple[tuple[Value, ...], int]:
    """The row at `at`, and where its cell ends."""
    begin = at
    if kind == _INDEX_INTERIOR:
        at += 4
    size, at = _varint(page, at)
    rowid: int | None = None
    if kind == _TABLE_LEAF:
        rowid, at = _varint(page, at)
        most = PAGE_SIZE - 35
    else:
        most = (PAGE_SIZE - 12) * 64 // 255 - 23
    if not 0 < size <= _MAX_ROW:
        raise _BrokenError
    local, spilled = size, 0
    if size > most:
        least = (PAGE_SIZE - 12) * 32 // 255 - 23
        local = least + (size - least) % (PAGE_SIZE - 4)
        local = local if local <= most else least
        (spilled,) = struct.unpack_from(">I", page, at + local)
    end = at + local + (4 if spilled else 0)
    if end > PAGE_SIZE:
        raise _BrokenError
    payload = page[at : at + local] + b"".join(_overflow(pages, spilled, size - local))
    values = _record(payload)
    if rowid is not None and values and values[0] is None:
        values = (rowid, *values[1:])
    return values, max(end, begin + 4)


def _overflow(pages: Pages, number: int, size: int) -> Iterator[bytes]:
    while size > 0:
        if not 1 < number <= pages.count:
            raise _BrokenError
        page = pages.page(number)
        (number,) = struct.unpack_from(">I", page)
        yield page[4 : 4 + size]
        size -= PAGE_SIZE - 4


def _record(payload: bytes) -> tuple[Value, ...]:
    header, at = _varint(payload, 0)
    if not at <= header <= len(payload):
        raise _BrokenError
    body = header
    values: list[Value] = []
    while at < header:
        kind, at = _varint(payload, at)
        value, body = _value(payload, kind, body)
        values.append(value)
    if at != header or body != len(payload):
        raise _BrokenError
    return tuple(values)


_WIDTH: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def _value(payload: bytes, kind: int, at: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind in _WIDTH:
        end = at + _WIDTH[kind]
        value: Value = int.from_bytes(payload[at:end], "big", signed=True)
    elif kind >= 12:
        end = at + (kind - 12) // 2
        value = payload[at:end].decode() if kind % 2 else payload[at:end]
    else:
        raise _BrokenError
    if end > len(payload):
        raise _BrokenError
    return value, end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for number in range(8):
        byte = data[at + number]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + number + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >= 1 << 63 else value, at + 9
