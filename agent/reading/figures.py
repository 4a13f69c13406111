"""Figures in words: what a numeric constraint is, and how single numbers are written."""

import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from catalog.items import Facet

NumberOp = Literal["ge", "le", "none"]
Bounds = tuple[tuple[NumberOp, tuple[float, ...]], ...]

WORDS: Final = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20,
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
    "ninety": 90, "hundred": 100, "half": 0.5,
}  # fmt: skip
NUM: Final = (
    r"(?:\d{1,3}(?:,\d{3})+|\d+(?:[.,]\d+)?|"
    + "|".join(w for w in WORDS if w not in ("a", "an", "half"))
    + ")"
)


class Number(NamedTuple):
    """A numeric constraint read from ``[start, end)``."""

    start: int
    end: int
    field: str
    bounds: tuple[tuple[NumberOp, tuple[float, ...]], ...]
    said: str


def number(
    low: str,
    start: int,
    end: int,
    facet: "Facet",
    bounds: tuple[tuple[NumberOp, tuple[float, ...]], ...],
) -> Number:
    return Number(start, end, facet.name, bounds, low[start:end].strip())


def plain(said: str) -> float | None:
    m = re.search(NUM, said)
    if not m:
        return None
    word = m.group()
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+", word):  # "1,200" is not one and a fifth
        return float(word.replace(",", ""))
    return float(WORDS[word]) if word in WORDS else float(word.replace(",", "."))
