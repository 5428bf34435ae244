"""A CSV file as rows: opened, unpacked if it is gzip, decoded line by line so that a wrong byte has a line number."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from footfall_ingest.history.mapping import FileFormat

_GZIP: Final = b"\x1f\x8b"
_MARK: Final = b"\xef\xbb\xbf"


class TableError(Exception):
    """The file cannot be read on; `line` is where, 0 where that cannot be said."""

    def __init__(self, text: str, line: int = 0) -> None:
        self.line = line
        super().__init__(text)


@contextmanager
def opened(path: Path, form: FileFormat) -> Iterator["Table"]:
    """The table in the file at `path`.

    Raises:
        TableError: it cannot be read, or has no header.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            with gzip.open(raw) if packed else raw as content:
                yield Table(content, form)
    except (OSError, EOFError, zlib.error) as error:
        raise TableError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from error


class Table:
    """The header of a table, and its rows with the line in which each one ends."""

    def __init__(self, content: IO[bytes] | gzip.GzipFile, form: FileFormat) -> None:
        self._content = content
        self._form = form
        self._line = 0
        lines = self._lines()
        for _ in range(form.skip_lines):
            if next(lines, None) is None:
                raise TableError(f"it has fewer lines than the {form.skip_lines} to be skipped")
        self._reader = csv.reader(lines, delimiter=form.delimiter, strict=True)
        self.header = [name.strip() for name in (form.columns or self._next() or ())]
        if not any(self.header):
            raise TableError("it is empty")

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line and values of each row that is not empty."""
        while (values := self._next()) is not None:
            if values:
                yield self._line, values

    def _next(self) -> list[str] | None:
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise TableError(f"it is not valid CSV: {error}", self._line) from error

    def _lines(self) -> Iterator[str]:
        encoding = "utf-8" if self._form.encoding in ("auto", "utf-8-sig") else self._form.encoding
        for raw in self._content:
            self._line += 1
            line = raw.removeprefix(_MARK) if self._line == 1 and encoding == "utf-8" else raw
            try:
                yield line.decode(encoding)
            except UnicodeDecodeError as error:
                raise TableError(self._not_text(error, line), self._line) from error

    def _not_text(self, error: UnicodeDecodeError, line: bytes) -> str:
        byte = f"the byte 0x{line[error.start]:02x} is no {self._form.encoding.replace('auto', 'utf-8')}"
        if self._form.encoding == "cp1252":
            return byte
        guess = line.decode("cp1252", "replace").strip()
        hint = "in a file that Excel wrote say encoding = 'cp1252' in [file] of the mapping"
        return f"{byte}; {hint} (then the line is {guess!r})"
