"""A table and its config become items: typed columns, ids, and a list of what did not fit.

Cells are converted once per distinct text. A cell that is not what its column holds ("ask us"
among the prices) is left empty and listed; a row without a title, or with an id that is taken,
is rejected and listed. Ids are the table's own or, where it has none, a hash of title, maker
and date, so that they stay when a price changes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from catalog import cells
from catalog.config import NUMBERS, Column, Config
from catalog.errors import BuildError
from catalog.headers import fold, heading, words
from catalog.tables import SHOWN, Rejected, Table

OWN: Final = ("id", "title", "original_title", "link", "image", "popularity", "editorial", "scores")
MAX_TITLE: Final = 300
SUMMARY_WORDS: Final = 30  # what a sentence can quote of a description
TOP_POPULARITY: Final = 1_000.0  # counts are brought to this scale, their logarithms kept
ADJECTIVE: Final = tuple("able ible proof free ed al ic icit ive ous ful less gan ian".split())
SENTENCE: Final = re.compile(r"(?<=[.!?…])\s+(?=[^a-z])")


class Shaped(NamedTuple):
    """``df``: id, title, link, image, popularity and one typed column a facet; ``names``:
    heading -> facet name; ``summaries``: facet name of a long text -> that of its beginning."""

    df: pl.DataFrame
    lines: npt.NDArray[np.int64]
    names: dict[str, str]
    summaries: dict[str, str]
    rejected: list[Rejected]
    notes: list[str]


def shape(table: Table, config: Config, usual: str = ".") -> Shaped:
    """All usable rows of a table as items. ``BuildError`` when none is left."""
    uses = {name: column for name, column in config.columns.items() if name in table.df.columns}
    title = next((n for n, c in uses.items() if c.use == "title"), None)
    if title is None:
        raise BuildError(
            "No column can be the title: name one in the config (`columns: {heading: title}`) of "
            f"{', '.join(map(repr, table.df.columns))}."
        )
    names = facet_names(uses)
    rejected: list[Rejected] = []
    notes: list[str] = []
    data: dict[str, pl.Series] = {"title": _title(_text(table.df[title]))}
    summaries: dict[str, str] = {}
    for name, column in uses.items():
        if column.use in ("title", "ignore", "id"):
            continue
        series = table.df[name]
        if column.use in ("link", "image"):
            data[column.use] = _text(series)
        elif column.use == "popularity":
            data["popularity"] = numbers(series, name, column, usual, table.lines, rejected, notes)
        elif column.use == "stock" and _said(series, cells.truth):
            data[names[name]] = _convert(series, _one_or_none, pl.Float64)
        elif column.use in NUMBERS:
            data[names[name]] = numbers(series, name, column, usual, table.lines, rejected, notes)
        elif column.use == "yes/no":
            data[names[name]] = _yes_no(series, column.label or heading(name).label)
        elif column.use == "text":
            data[names[name]] = _text(series)
            if _is_long(data[names[name]]):
                summaries[names[name]] = f"{names[name]}_summary"
                data[summaries[names[name]]] = _convert(data[names[name]], summary, pl.String)
        else:
            data[names[name]] = lists(series, column, usual)
    key = next((n for n, c in uses.items() if c.use == "id"), None)
    df = pl.DataFrame({k: v.alias(k) for k, v in data.items()})
    asked = _text(table.df[key]) if key else pl.Series([None] * len(df), dtype=pl.String)
    df, kept = _with_ids(df, asked, uses, names, table, rejected, notes)
    if not len(df):
        first = rejected[0]
        raise BuildError(
            f"No usable row: {len(rejected)} were rejected, the first in line {first.line} "
            f"({first.reason}). At least one row with a title is needed."
        )
    df = df.with_columns(
        popularity(df.get_column("popularity", default=None), len(df)).alias("popularity"),
        *(
            pl.lit(None, dtype=pl.String).alias(name)
            for name in ("link", "image")
            if name not in df.columns
        ),
    )
    lines = table.lines[kept]
    return Shaped(df, lines, names, summaries, rejected, notes)


def facet_names(uses: dict[str, Column]) -> dict[str, str]:
    """Heading -> the facet's name, a plain word, all different."""
    names: dict[str, str] = {}
    for heading_, column in uses.items():
        base = column.name or (column.label or heading(heading_).words or "column")
        word = "_".join(fold(base).split()) or "column"
        word = f"{word}_" if word in OWN else word
        name, again = word, 2
        while name in names.values():
            name, again = f"{word}_{again}", again + 1
        names[heading_] = name
    return names


# -------------------------------------------------------------------------------- values


def numbers(
    series: pl.Series,
    name: str,
    column: Column,
    usual: str,
    lines: npt.NDArray[np.int64],
    rejected: list[Rejected],
    notes: list[str],
) -> pl.Series:
    """A column of numbers in the config's unit; cells that are none are listed and left empty."""
    unit = cells.unit_of(column.unit) if column.unit else None
    decimal = column.decimal or "."
    ranges = 0
    texts = _text(series)
    clocks = texts.filter(texts.str.contains(":", literal=True)).drop_nulls()
    short = cells.minutes_first(clocks.to_list())

    def read(text: str) -> float | None:
        nonlocal ranges
        if column.use == "date":
            found = cells.year(text)
            return None if found is None else float(found)
        figure = cells.figure(cells.with_hours(text) if short else text)
        if figure is None:
            return None
        own = cells.unit_of(figure.unit) if figure.unit else None
        if own is not None and unit is not None and own.family != unit.family:
            return None
        if figure.minutes is not None:
            value = figure.minutes
        else:
            ranges += bool(figure.high)
            value = cells.value(figure.high or figure.figures, decimal)
        if own is not None and unit is not None and own.factor != unit.factor:
            value = float(f"{value * own.factor / unit.factor:.10g}")
        return value

    out = _convert(texts, read, pl.Float64)
    if ranges:
        notes.append(f"{name}: a range counts as its upper end ({ranges} different ranges)")
    bad = (out.is_null() & series.is_not_null()).arg_true().to_list()
    expected = "no date" if column.use == "date" else "no number"
    if unit is not None:
        expected += f" in {unit.shown} or alone"
    for row in bad:
        text = str(series[row])
        if not cells.nothing(text):
            rejected.append(
                Rejected(int(lines[row]), name, f"{expected}; left empty", text[:SHOWN])
            )
    whole = out.drop_nulls()
    if len(whole) and bool((whole == whole.round()).all()) and float(whole.abs().max()) < 2**31:  # type: ignore[arg-type]
        return out.cast(pl.Int32)
    return out


def lists(series: pl.Series, column: Column, usual: str) -> pl.Series:
    """A column of one or several values a cell."""
    if series.dtype == pl.List(pl.String):
        return series.list.eval(pl.element().drop_nulls()).list.unique(maintain_order=True)
    separator = column.separator or ""

    def read(text: str) -> list[str] | None:
        if cells.nothing(text):
            return None
        if separator == "-":
            figure = cells.figure(text)
            span = cells.between(figure, usual) if figure is not None else None
            return [str(n) for n in span] if span is not None else [text]
        if column.use == "language":
            return [language(part) for part in cells.split(text, separator)] or None
        if column.use == "size":
            text = re.sub(r"^(?:EU|EUR|US|UK|Gr\.?|size)\s+(?=\d)", "", text)
        return cells.split(text, separator) or None

    return _convert(series, read, pl.List(pl.String))


def language(said: str) -> str:
    """A language's name for its code: "en-US" -> "English"."""
    known = words().languages
    return known.get(said.lower()) or known.get(re.split(r"[-_]", said.lower())[0]) or said


def _yes_no(series: pl.Series, label: str) -> pl.Series:
    said = {True: [label], False: [opposite(label)], None: None}
    return _convert(_text(series), lambda text: said[cells.truth(text)], pl.List(pl.String))


def opposite(label: str) -> str:
    """ "waterproof" -> "not waterproof", "on view" -> "not on view", "certificate" -> "no ..."."""
    words = label.split()
    adjective = words[-1].endswith(ADJECTIVE) or words[0] in ("on", "in", "at", "for", "out")
    return f"not {label}" if adjective else f"no {label}"


def _one_or_none(text: str) -> float | None:
    found = cells.truth(text)
    return None if found is None else float(found)


def _said(series: pl.Series, test: Callable[[str], Any]) -> bool:
    sample = _text(series).drop_nulls().head(50).to_list()
    return bool(sample) and all(test(text) is not None for text in sample)


def _convert(series: pl.Series, read: Callable[[str], Any], dtype: Any) -> pl.Series:
    """A column read cell by cell, each distinct text once."""
    unique = series.drop_nulls().unique()
    table = pl.DataFrame(
        {"text": unique, "value": pl.Series([read(t) for t in unique.to_list()], dtype=dtype)}
    )
    frame = pl.DataFrame({"text": series})
    return frame.join(table, on="text", how="left", maintain_order="left")["value"]


def _text(series: pl.Series) -> pl.Series:
    """A column as texts; a list becomes one text."""
    return series.list.join(", ") if series.dtype == pl.List(pl.String) else series


def _title(series: pl.Series) -> pl.Series:
    plain = series.str.replace_all(r"\s+", " ").str.strip_chars().str.slice(0, MAX_TITLE)
    return pl.DataFrame({"t": plain}).select(pl.when(pl.col("t") != "").then(pl.col("t")))["t"]


def _is_long(series: pl.Series) -> bool:
    """Do the descriptions need a shorter form to be quoted?"""
    words = series.drop_nulls().head(1000).str.count_matches(r"\S+")
    return len(words) > 0 and float(words.quantile(0.9) or 0) > SUMMARY_WORDS


def summary(text: str) -> str:
    """The first sentences of a text, at most ``SUMMARY_WORDS`` words; cut with an ellipsis."""
    kept = ""
    for sentence in SENTENCE.split(" ".join(text.split())):
        longer = f"{kept} {sentence}".strip()
        if len(longer.split()) > SUMMARY_WORDS:
            break
        kept = longer
    return kept or " ".join(text.split()[:SUMMARY_WORDS]).rstrip(",;:") + " …"


def popularity(column: pl.Series | None, n: int) -> pl.Series:
    """Counts on the scale the recommender knows: logarithms kept, the largest at 1,000.

    Without counts every item counts 1: none is better known than another.
    """
    if column is None:
        return pl.Series(np.ones(n, dtype=np.float32))
    counts = column.cast(pl.Float64).fill_null(0).clip(lower_bound=0).to_numpy()
    top = float(counts.max(initial=0.0))
    if top > TOP_POPULARITY:
        counts = np.expm1(np.log1p(counts) * (np.log1p(TOP_POPULARITY) / np.log1p(top)))
    return pl.Series(counts.astype(np.float32))


# ----------------------------------------------------------------------------------- ids


def _with_ids(
    df: pl.DataFrame,
    asked: pl.Series,
    uses: dict[str, Column],
    names: dict[str, str],
    table: Table,
    rejected: list[Rejected],
    notes: list[str],
) -> tuple[pl.DataFrame, npt.NDArray[np.int64]]:
    """Rows with a title and an id of their own, and their places in the table."""
    has_title = df["title"].is_not_null()
    for row in (~has_title).arg_true().to_list():
        line = int(table.lines[row])
        rejected.append(Rejected(line, "", "has no title", _row_text(table.df, row)))
    made = asked.is_null() & has_title
    ids = asked.to_list()
    if made.any():
        same = [names[n] for n, c in uses.items() if c.use in ("maker", "people", "date")]
        columns = [df[name].to_list() for name in ("title", *same)]
        taken: dict[str, int] = {}
        for row in made.arg_true().to_list():
            text = "\x1f".join(str(column[row]) for column in columns)
            key = "i-" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
            taken[key] = taken.get(key, 0) + 1
            ids[row] = key if taken[key] == 1 else f"{key}-{taken[key]}"
        if asked.null_count() == len(asked):
            notes.append("no column of ids: an id is made of each row's title, maker and date")
        else:
            notes.append(f"{int(made.sum())} rows have no id: one is made of title, maker and date")
    keys = pl.Series("id", ids, dtype=pl.String)
    frame = pl.DataFrame({"id": keys, "row": np.arange(len(df))}).filter(has_title)
    first = frame.unique("id", keep="first", maintain_order=True)
    again = frame.join(first, on="id", suffix="_first").filter(pl.col("row") != pl.col("row_first"))
    for key, row, earlier in again.iter_rows():
        reason = f"repeats the id {key!r} of line {table.lines[earlier]}"
        line = int(table.lines[row])
        rejected.append(Rejected(line, "", reason, _row_text(table.df, row)))
    kept = first["row"].to_numpy().astype(np.int64)
    return df.with_columns(keys)[kept], kept


def _row_text(df: pl.DataFrame, row: int) -> str:
    values = (v if isinstance(v, str) else ", ".join(v) for v in df.row(row) if v)
    return " | ".join(values)[:SHOWN]
