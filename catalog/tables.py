"""Any table as text columns: CSV, TSV, JSON lines, Parquet or a database, whatever its state.

Everything comes out the same: a polars frame whose columns are texts (or lists of texts), the
line each row stood on, and the rows that could not be read with line and reason. What the
columns *mean* is ``catalog.guess``'s question. Delimited text is in ``catalog.delimited``.

    table = read("books.csv")
    table.df, table.lines, table.rejected, table.notes
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from catalog.encodings import detect
from catalog.errors import BuildError

CHUNK = 20_000  # rows that are Python objects at a time
MAX_CELL = 100_000  # characters; longer cells are cut, and it is said
SHOWN = 200  # characters of a rejected row that are kept
SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")


class Rejected(NamedTuple):
    """A row or a cell that could not be used. ``column`` is "" for a whole row."""

    line: int
    column: str
    reason: str
    value: str


class Table(NamedTuple):
    """``df``: columns of String or List(String); ``lines``: ``(n,)`` where each row stood."""

    df: pl.DataFrame
    lines: npt.NDArray[np.int64]
    rejected: list[Rejected]
    notes: list[str]
    delimiter: str = ""


def is_url(source: str | Path) -> bool:
    """Is it a database URL, not a path?"""
    return "://" in str(source)


def read(source: str | Path, encoding: str | None = None, delimiter: str | None = None) -> Table:
    """Read a table. ``BuildError`` names the source, what is wrong and the remedy.

    ``encoding`` and ``delimiter`` overrule what is detected (CSV and its kin only).
    """
    if is_url(source):
        from catalog.importers.sql import read_sql

        return _usable(read_sql(str(source)), str(source))
    path = Path(source)
    if not path.is_file():
        raise BuildError(
            f"{path} does not exist: give a file ({', '.join(SUFFIXES)}), a source folder, or a "
            "database URL such as sqlite:///shop.db?table=items."
        )
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise BuildError(
            f"{path} has the ending {kind or '(none)'}: Parley reads {', '.join(SUFFIXES)}. "
            "Save a spreadsheet as CSV first."
        )
    if not path.stat().st_size:
        raise BuildError(f"{path} is empty: a header line and at least one row are needed.")
    if kind in (".parquet", ".pq"):
        table = read_parquet(path)
    elif kind in (".jsonl", ".ndjson", ".json"):
        table = read_json(path, encoding)
    else:
        from catalog.delimited import read_delimited

        table = read_delimited(path, encoding, delimiter)
    return _usable(table, str(path))


def _usable(table: Table, source: str) -> Table:
    if len(table.df):
        df, cut = too_long(table.df, table.lines)
        return table._replace(df=df, rejected=[*table.rejected, *cut])
    why = ""
    if table.rejected:
        first, n = table.rejected[0], len(table.rejected)
        why = f": {n} were rejected, the first in line {first.line} ({first.reason})"
    raise BuildError(f"{source} has no usable row{why}. At least one is needed.")


def read_json(path: Path, encoding: str | None = None) -> Table:
    """JSON lines, or one JSON array of objects. A line that is no object is rejected."""
    found = detect(path, encoding)
    notes = [found.note] if found.note else []
    rejected: list[Rejected] = []
    with path.open(encoding=found.name, errors="replace") as file:
        start = file.read(200).lstrip()[:1]
        file.seek(0)
        if start == "[":
            try:
                whole = json.load(file)
            except ValueError as error:
                raise BuildError(f"{path} is no JSON ({error}): mend it there.") from error
            entries: Iterable[tuple[int, Any]] = enumerate(whole, start=1)
            notes.append("one JSON array: lines count its entries")
        else:
            entries = _json_lines(file, rejected)
        frames, lines = _objects(entries, rejected)
    if not frames:
        return Table(pl.DataFrame(), np.zeros(0, np.int64), rejected, notes)
    df = pl.concat(_one_schema(frames), how="diagonal")
    return Table(tidy(df), np.array(lines, dtype=np.int64), rejected, notes)


def _json_lines(file: Iterable[str], rejected: list[Rejected]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except ValueError as error:
            reason = f"is no JSON ({error})"
            rejected.append(Rejected(number, "", reason, line.strip()[:SHOWN]))


def _objects(
    entries: Iterable[tuple[int, Any]], rejected: list[Rejected]
) -> tuple[list[pl.DataFrame], list[int]]:
    """Frames of at most ``CHUNK`` objects, every value a text or a list of texts."""
    frames: list[pl.DataFrame] = []
    lines: list[int] = []
    chunk: list[dict[str, Any]] = []
    for number, entry in entries:
        if not isinstance(entry, dict) or not entry:
            reason = "is no JSON object with fields"
            rejected.append(Rejected(number, "", reason, str(entry)[:SHOWN]))
            continue
        chunk.append(flat(entry))
        lines.append(number)
        if len(chunk) == CHUNK:
            frames.append(frame_of(chunk))
            chunk = []
    if chunk:
        frames.append(frame_of(chunk))
    return frames, lines


def flat(entry: dict[str, Any], before: str = "") -> dict[str, Any]:
    """An object with its inner objects' fields beside its own: ``{"maker": {"name": …}}`` ->
    ``{"maker name": …}``; values become texts or lists of texts."""
    out: dict[str, Any] = {}
    for key, value in entry.items():
        name = f"{before} {key}".strip()
        if isinstance(value, dict):
            out |= flat(value, name)
        elif isinstance(value, list | tuple):
            out[name] = [t for v in value if (t := as_text(v)) is not None]
        else:
            out[name] = as_text(value)
    return out


def as_text(value: Any) -> str | None:
    """A scalar as a text; None for nothing, NaN and infinity. Of an object, its name."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, dict):
        for key in ("name", "title", "label", "value"):
            if key in value:
                return as_text(value[key])
        return json.dumps(value, ensure_ascii=False)
    return value if isinstance(value, str) else str(value)


def frame_of(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Objects as columns: a list column where any value is a list, else a text column."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if any(isinstance(v, list) for v in values):
            values = [v if isinstance(v, list) or v is None else [v] for v in values]
            columns[name] = pl.Series(name, values, dtype=pl.List(pl.String))
        else:
            columns[name] = pl.Series(name, values, dtype=pl.String)
    return pl.DataFrame(columns)


def _one_schema(frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """A column that is a list in one chunk is one in all."""
    lists = {n for f in frames for n, t in f.schema.items() if t == pl.List(pl.String)}
    wrapped = []
    for frame in frames:
        plain = [n for n in lists & set(frame.columns) if frame.schema[n] == pl.String]
        wrapped.append(frame.with_columns(pl.concat_list(n).alias(n) for n in plain))
    return wrapped


def read_parquet(path: Path) -> Table:
    """Parquet, row by row number. Numbers, dates and lists become texts like everything."""
    try:
        df = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BuildError(f"{path} cannot be read as Parquet ({error}): write it again.") from error
    return Table(tidy(texts(df)), np.arange(1, len(df) + 1), [], ["lines count the rows"])


def texts(df: pl.DataFrame) -> pl.DataFrame:
    """Every column of a typed frame as texts or lists of texts."""
    columns = []
    for series in df.iter_columns():
        inner = series.dtype.inner if isinstance(series.dtype, pl.List | pl.Array) else None
        if series.dtype == pl.String:
            columns.append(series)
        elif series.dtype == pl.Boolean:
            columns.append(series.cast(pl.String))
        elif isinstance(series.dtype, pl.Struct) or (
            inner is not None and not isinstance(inner, pl.String)
        ):
            wrapped = frame_of([flat({series.name: value}) for value in series.to_list()])
            columns += wrapped.get_columns()
        elif inner is not None:
            columns.append(series.cast(pl.List(pl.String)))
        elif series.dtype.is_float():
            whole = (series == series.round()) & (series.abs() < 1e15)
            plain = series.cast(pl.Int64, strict=False).cast(pl.String)
            finite = pl.select(
                pl.when(whole).then(plain).when(series.is_finite()).then(series.cast(pl.String))
            ).to_series()
            columns.append(finite.alias(series.name))
        else:
            columns.append(series.cast(pl.String, strict=False))
    return pl.DataFrame(columns)


def tidy(df: pl.DataFrame) -> pl.DataFrame:
    """Texts without blanks around them; an empty text or list is missing."""
    exprs = []
    for name, dtype in df.schema.items():
        column = pl.col(name)
        if dtype == pl.String:
            bare = column.str.strip_chars()
            exprs.append(pl.when(bare != "").then(bare).alias(name))
        else:
            bare = column.list.eval(pl.element().str.strip_chars()).list.drop_nulls()
            exprs.append(pl.when(bare.list.len() > 0).then(bare).alias(name))
    return df.with_columns(exprs)


def too_long(df: pl.DataFrame, lines: npt.NDArray[np.int64]) -> tuple[pl.DataFrame, list[Rejected]]:
    """Cells cut at ``MAX_CELL`` characters, and the list of those that were."""
    found: list[Rejected] = []
    for name, dtype in df.schema.items():
        if dtype != pl.String:
            continue
        long = (df[name].str.len_chars() > MAX_CELL).fill_null(False)
        for row in long.arg_true().to_list():
            reason = f"cell of {len(df[name][row])} characters, cut at {MAX_CELL}"
            found.append(Rejected(int(lines[row]), name, reason, df[name][row][:SHOWN]))
        if long.any():
            df = df.with_columns(pl.col(name).str.slice(0, MAX_CELL))
    return df, found
