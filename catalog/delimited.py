"""CSV and its kin, read as they are found: the separator, stray quotes, rows of a wrong length.

Python's csv module does the parsing; this file gives it lines that can be taken back. A quote
that is never closed would otherwise swallow the rest of the file: here its line is rejected
and reading goes on with the next. Rows come in chunks, so a million of them need little memory.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from catalog.encodings import SURROGATE, Encoding, detect
from catalog.errors import BuildError
from catalog.tables import CHUNK, SHOWN, Rejected, Table, tidy

MAX_RECORD_LINES = 2_000  # a quote still open after so many lines was a slip
DELIMITERS = (",", ";", "\t", "|")
ONE_COLUMN = "\x1f"  # a file without any separator is one column, commas and all
SNIFFED_LINES = 300
OFTEN_EMPTY = 0.5  # cells left out at the end of a row are empty where this share of them is
LIKE_A_VALUE = re.compile(r"^[\s$€£]*[-+]?\d[\d.,]*\s*[%€$£]?$|^https?://")


class Row(NamedTuple):
    """A record: the line it begins on, its cells, why it cannot be used, its first line."""

    line: int
    cells: list[str]
    reason: str
    text: str


class Rows:
    """An iterator of ``Row``. Set ``width`` once the header is known."""

    def __init__(self, lines: Iterable[str], delimiter: str, first_line: int = 1) -> None:
        csv.field_size_limit(2**31 - 1)
        self.width: int | None = None
        self._source = iter(lines)
        self._back: deque[str] = deque()
        self._taken: list[str] = []
        self._number = first_line - 1  # of the line taken last
        self._unclosed = False
        self._delimiter = delimiter
        self._reader = csv.reader(self._lines(), delimiter=delimiter)

    def _lines(self) -> Iterator[str]:
        while True:
            if len(self._taken) >= MAX_RECORD_LINES:
                self._unclosed = True
                return
            line = self._back.popleft() if self._back else next(self._source, None)
            if line is None:
                self._unclosed = bool(self._taken)
                return
            self._taken.append(line)
            self._number += 1
            yield line.replace("\0", "") if "\0" in line else line

    def __iter__(self) -> Iterator[Row]:
        while True:
            self._taken, self._unclosed = [], False
            start = self._number + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                if not self._taken:
                    return
                cells = []
            taken = self._taken
            reason = ""
            if self._unclosed or (len(taken) > 1 and self._malformed(taken)):
                reason = "a quote is opened and not closed"
            elif len(taken) > 1 and self.width and len(trimmed(cells, self.width)) != self.width:
                reason = f"a quoted cell over {len(taken)} lines leaves {len(cells)} cells"
            if reason:  # only its first line was bad: go on with the second
                self._back.extendleft(reversed(taken[1:]))
                self._number -= len(taken) - 1
                self._reader = csv.reader(self._lines(), delimiter=self._delimiter)
            yield Row(start, cells, reason, taken[0])

    def _malformed(self, lines: list[str]) -> bool:
        """Does text follow a closing quote? Then the quote was no closing one."""
        try:
            list(csv.reader(lines, delimiter=self._delimiter, strict=True))
        except csv.Error:
            return True
        return False


def trimmed(cells: list[str], width: int) -> list[str]:
    """Without empty cells beyond ``width``."""
    end = len(cells)
    while end > width and not cells[end - 1].strip():
        end -= 1
    return cells[:end]


def read_delimited(path: Path, encoding: str | None = None, delimiter: str | None = None) -> Table:
    """A CSV, TSV or other separated file. ``BuildError`` when it has no header."""
    found = detect(path, encoding)
    notes = [found.note] if found.note else []
    with path.open(encoding=found.name, errors=found.errors, newline="") as file:
        head = [line for line, _ in zip(file, range(SNIFFED_LINES), strict=False)]
    skip = 0
    if head and re.fullmatch(r"sep=.\s*", head[0], re.IGNORECASE):
        delimiter, skip = delimiter or head[0][4], 1  # Excel's own way to say it
    if delimiter is None:
        delimiter = sniff(head[skip:], "\t" if path.suffix.lower() in (".tsv", ".tab") else ",")
    if delimiter not in (",", ONE_COLUMN):
        notes.append(f"cells are separated by {'tab' if delimiter == chr(9) else delimiter!r}")
    with path.open(encoding=found.name, errors=found.errors, newline="") as file:
        for _ in range(skip):
            next(file)
        rows = Rows(file, delimiter, first_line=skip + 1)
        return _collect(rows, str(path), delimiter, notes, found)


def _collect(rows: Rows, path: str, delimiter: str, notes: list[str], encoding: Encoding) -> Table:
    """Header and rows, in chunks."""
    stream = iter(rows)
    first = next((row for row in stream if row.reason or any(map(str.strip, row.cells))), None)
    if first is None or first.reason:
        why = f" ({first.reason})" if first else ""
        raise BuildError(f"{path} has no header line{why}: the first line names the columns.")
    names, is_data = header(first.cells)
    rows.width = len(names)
    gathered = _Gathered(names, encoding.mark)
    if is_data:
        notes.append("the first line holds values, so the columns are called column 1, column 2 …")
        gathered.add(first)
    for row in stream:
        gathered.add(row)
    df, lines = gathered.finish()
    if gathered.blank:
        notes.append(f"{gathered.blank} blank lines")
    return Table(df, lines, gathered.rejected, notes, delimiter)


class _Gathered:
    """Rows on their way into columns."""

    def __init__(self, names: list[str], broken: re.Pattern[str]) -> None:
        self.names = names
        self._broken = broken
        self.rejected: list[Rejected] = []
        self.blank = 0
        self._frames: list[pl.DataFrame] = []
        self._chunk: list[list[str]] = []
        self._lines: list[int] = []
        self._short: list[Row] = []

    def add(self, row: Row) -> None:
        """Keep a row, or say why not. Rows with too few cells wait for ``finish``."""
        width = len(self.names)
        cells = trimmed(row.cells, width)
        if row.reason:
            self._reject(row, row.reason)
        elif not any(map(str.strip, cells)):
            self.blank += 1
        elif len(cells) > width:
            self._reject(row, f"{len(cells)} cells, the header has {width}")
        elif self._broken.search("".join(cells)):
            self._reject(row, "has bytes that are not in the file's encoding")
        elif len(cells) < width:
            self._short.append(row._replace(cells=cells))
        else:
            self._keep(row.line, cells)

    def _keep(self, line: int, cells: list[str]) -> None:
        self._chunk.append(cells)
        self._lines.append(line)
        if len(self._chunk) == CHUNK:
            self._flush()

    def _reject(self, row: Row, reason: str) -> None:
        text = row.text.strip()[:SHOWN].encode("utf-8", "replace").decode()
        self.rejected.append(Rejected(row.line, "", reason, text))

    def _flush(self) -> None:
        if self._chunk:
            columns = zip(*self._chunk, strict=True)
            pairs = zip(self.names, columns, strict=True)
            self._frames.append(pl.DataFrame({n: pl.Series(c, dtype=pl.String) for n, c in pairs}))
            self._chunk = []

    def finish(self) -> tuple[pl.DataFrame, np.ndarray]:
        """All rows as one frame in the file's order, and their lines."""
        self._flush()
        schema = dict.fromkeys(self.names, pl.String)
        df = tidy(pl.concat(self._frames)) if self._frames else pl.DataFrame(schema=schema)
        empty = [df[name].null_count() / max(len(df), 1) for name in self.names]
        self._frames = []
        for row in self._short:
            # Excel leaves out empty cells at the end of a row; a broken row looks the same,
            # but not where those columns are seldom empty.
            if len(df) and min(empty[len(row.cells) :]) >= OFTEN_EMPTY:
                missing = [""] * (len(self.names) - len(row.cells))
                self._keep(row.line, [*row.cells, *missing])
            else:
                self._reject(row, f"{len(row.cells)} cells, the header has {len(self.names)}")
        self._flush()
        self.rejected.sort()
        lines = np.array(self._lines, dtype=np.int64)
        if not self._frames:
            return df, lines
        order = np.argsort(lines, kind="stable")
        return pl.concat([df, *map(tidy, self._frames)])[order], lines[order]


def header(cells: Sequence[str]) -> tuple[list[str], bool]:
    """Column names, all different; True when the first line holds values instead."""
    bare = [" ".join(SURROGATE.sub("?", c).replace("\ufeff", "").split()) for c in cells]
    while len(bare) > 1 and not bare[-1]:
        bare.pop()
    if sum(bool(LIKE_A_VALUE.match(cell)) for cell in bare) > len(bare) / 4:
        return [f"column {n}" for n in range(1, len(bare) + 1)], True
    names: list[str] = []
    for number, cell in enumerate(bare, start=1):
        name = cell or f"column {number}"
        again = 2
        while name in names:
            name = f"{cell or f'column {number}'} {again}"
            again += 1
        names.append(name)
    return names, False


def sniff(lines: Sequence[str], first: str) -> str:
    """The separator under which most rows have as many cells as the header; ``first`` on a tie."""
    best, best_score = ONE_COLUMN, (0.0, 0.0)
    for delimiter in (first, *(d for d in DELIMITERS if d != first)):
        rows = [row.cells for row in Rows(lines, delimiter) if any(row.cells)]
        if not rows or len(rows[0]) < 2:
            continue
        widths = Counter(len(row) for row in rows)
        fit = widths[len(rows[0])] / len(rows)
        score = (round(fit, 1), float(len(rows[0])))
        if score > best_score:
            best, best_score = delimiter, score
    return best
