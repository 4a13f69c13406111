"""What is in a column: measured on a sample, before anyone asks what the column is for.

How many cells are numbers, dates, links, lists; how many differ; how long they are; what splits
them into values that repeat.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import polars as pl

from catalog import cells

SAMPLE: Final = 2_000  # cells a column that are looked at closely
SEPARATORS: Final = (";", "|", " / ", ",", "/", " · ", "\n", "+")
IMAGE: Final = re.compile(r"\.(?:jpe?g|png|gif|webp|avif|svg)(?:\?.*)?$", re.IGNORECASE)
LINK: Final = re.compile(r"^(?:https?://|www\.)\S+$", re.IGNORECASE)
CODE: Final = re.compile(r"^(?=.*\d)[A-Za-z]{0,6}[-_./]?[A-Za-z0-9]*(?:[-_./][A-Za-z0-9]+)*$")


class Facts(NamedTuple):
    """What was seen in a column. Shares are of the filled cells of the sample."""

    rows: int
    filled: int  #: of all cells
    distinct: int  #: of all cells
    sample: list[str]
    is_list: bool  #: a list already, in the source
    numbers: float
    ranges: float
    whole: float  #: numbers without a fraction
    unit: cells.Unit | None  #: the commonest in the cells
    unit_said: str
    low: float
    high: float
    years: float  #: shares of cells that are a year or a full date
    dates: float
    links: float
    images: float
    truths: float
    codes: float
    lists: float  #: JSON or Python lists
    words: float  #: mean words a cell
    sentences: float  #: share of cells that end like a sentence or have more than 12 words
    names: float  #: share of cells that look like a person's name
    separator: str  #: that splits the cells into repeating values; "" for none
    parts: int  #: distinct values once split
    decimal: str

    @property
    def coverage(self) -> float:
        return self.filled / max(self.rows, 1)

    @property
    def unlike(self) -> float:
        """1 when every value differs."""
        return self.distinct / max(self.filled, 1)


def look(series: pl.Series, usual: str = ".") -> Facts:
    """Measure one column."""
    is_list = series.dtype == pl.List(pl.String)
    full = series.drop_nulls()
    distinct = full.n_unique() if not is_list else full.list.join("\x1f").n_unique()
    step = max(1, len(full) // SAMPLE)
    some = full.gather_every(step)[:SAMPLE]
    listed = some.list.join("\x1f").to_list() if is_list else some.to_list()
    sample = [text for text in listed if not cells.nothing(text)]
    timed = map(cells.with_hours, sample) if cells.minutes_first(sample) else sample
    figures = [f for f in map(cells.figure, timed) if f is not None] if not is_list else []
    decimal = cells.decimal_mark((f.figures for f in figures), usual)
    values = [
        f.minutes if f.minutes is not None else cells.value(f.high or f.figures, decimal)
        for f in figures
    ]
    units = Counter(f.unit for f in figures if f.unit)
    said = units.most_common(1)[0][0] if units else ""
    share = _shares(sample)
    separator, parts = ("list", 0) if is_list else find_separator(sample, share(_long))
    if is_list:
        parts = full.explode().n_unique()
    return Facts(
        rows=len(series),
        filled=len(full),
        distinct=distinct,
        sample=sample,
        is_list=is_list,
        numbers=len(figures) / max(len(sample), 1),
        ranges=sum(bool(f.high) for f in figures) / max(len(sample), 1),
        whole=sum(v.is_integer() for v in values) / max(len(values), 1),
        unit=cells.unit_of(said) if said else None,
        unit_said=said,
        low=min(values, default=0.0),
        high=max(values, default=0.0),
        years=share(_is_year),
        dates=share(_is_date),
        links=share(lambda t: bool(LINK.match(t))),
        images=share(lambda t: bool(IMAGE.search(t)) and " " not in t),
        truths=share(lambda t: cells.truth(t) is not None),
        codes=share(lambda t: bool(CODE.match(t))),
        lists=share(lambda t: cells.as_list(t) is not None),
        words=sum(len(t.split()) for t in sample) / max(len(sample), 1),
        sentences=share(_long),
        names=share(_is_name),
        separator=separator,
        parts=parts,
        decimal=decimal,
    )


def _shares(sample: Sequence[str]) -> Callable[[Callable[[str], bool]], float]:
    return lambda test: sum(map(test, sample)) / max(len(sample), 1)


def _long(text: str) -> bool:
    return len(text.split()) > 12 or (len(text.split()) > 4 and text[-1] in ".!?…")


def _is_year(text: str) -> bool:
    return bool(re.match(r"^(?:c\.|ca\.?|~)?\s*(?:1[4-9]|20)\d\d(?:\.0)?$", text))


def _is_date(text: str) -> bool:
    if _is_year(text) or cells.year(text) is None:
        return False
    return len(text) > 6 or not text.lstrip("-").isdigit()  # "1870s", "AD 250"


def _is_name(text: str) -> bool:
    words = text.split()
    return 2 <= len(words) <= 4 and all(w[0].isupper() or w in ("de", "van", "von") for w in words)


def _plain_words(split: Sequence[list[str]]) -> bool:
    """Are the cells with several parts made of short lower-case words ("silver, enamel")?

    Names, titles and places have capitals, sentences have long parts: those stay whole.
    """
    parts = [part for row in split if len(row) > 1 for part in row]
    return all(part.islower() and len(part.split()) <= 2 for part in parts)


def find_separator(sample: Sequence[str], prose: float) -> tuple[str, int]:
    """What splits the cells into short values that repeat, and how many differ; "" for none."""
    if prose > 0.3 or not sample:
        return "", 0
    if sum(cells.as_list(t) is not None for t in sample) > 0.8 * len(sample):
        return "json", len({v for t in sample for v in cells.split(t, "json")})
    whole = len(set(sample))
    best, best_gain = ("", 0), 1.15
    for separator in SEPARATORS:
        split = [cells.split(text, separator) for text in sample]
        several = sum(len(parts) > 1 for parts in split)
        if several < max(2, 0.05 * len(sample)):
            continue
        parts = [part for row in split for part in row]
        different = len(set(parts))
        if sum(len(p.split()) for p in parts) > 4 * len(parts) or different == 0:
            continue
        # Splitting is right when the parts repeat more than the cells did.
        gain = (len(parts) / different) / (len(sample) / whole)
        strong = separator in (";", "|") or (separator.strip() == "," and _plain_words(split))
        if gain > best_gain or (strong and several > 0.2 * len(sample) and best[0] == ""):
            best, best_gain = (separator, different), max(gain, best_gain)
    return best
