"""A column whose use is known as a whole config entry: label, unit, separator; and the nouns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

from catalog import cells
from catalog.columns import Facts
from catalog.config import Column
from catalog.headers import Heading, fold, heading, plural, singular, words

MOST_NUMBERS: Final = 0.9  # of the cells, for ranges such as "2-4" to be read as numbers
DULL_NAMES: Final = frozenset(
    "data items item catalog catalogue export file list table table1 sheet sheet1 dump download "
    "input source stock inventory feed untitled output clean final full sample test new all "
    "my our the v1 v2 v3 copy of en de utf8 csv".split()
)


def detail(use: str, head: Heading, facts: Facts) -> Column:
    """The whole entry of a column: label, unit, separator, question."""
    fields: dict[str, object] = {"use": use}
    if use in ("id", "title", "link", "image", "ignore"):
        return Column.model_validate(fields)
    label = short_label(use, head.label)
    if use in ("price", "number", "date", "rating", "stock", "audience", "popularity"):
        if facts.decimal == "," and any("," in t or "." in t for t in facts.sample):
            fields["decimal"] = ","
        if use == "popularity":
            return Column.model_validate(fields)
        unit = facts.unit or head.unit
        fields["unit"] = shown_unit(use, unit, label, facts)
    elif use not in ("text", "yes/no"):
        label = singular(label)
        if facts.separator not in ("", "list"):
            fields["separator"] = facts.separator
        elif (
            use in ("maker", "people")
            and not facts.is_list
            and (by := name_separator(facts.sample))
        ):
            fields["separator"] = by
        elif use == "tags" and commas(facts.sample):
            fields["separator"] = ","
        elif facts.numbers >= MOST_NUMBERS and facts.ranges > 0.3:
            fields["separator"] = "-"
    fields["label"] = label
    if plural(label) != f"{label}s":
        fields["plural"] = plural(label)
    return Column.model_validate({k: v for k, v in fields.items() if v not in (None, "")})


def short_label(use: str, label: str) -> str:
    """What a sentence calls it: "average rating" is the rating, "author name" the author."""
    if use == "stock":
        return "stock"
    if use in ("maker", "people") and label.endswith((" name", " names")):
        return label.rpartition(" ")[0]
    for last in {"rating": ("rating",), "date": ("year",), "language": ("language",)}.get(use, ()):
        if last in label.split():
            return last
    return label


def name_separator(sample: Sequence[str]) -> str:
    """What stands between the people of a cell: "A. Lee, B. Kim" but not "Lee, Anna"."""
    for separator in (";", "|", ",", " & ", " / "):
        several = [text.split(separator) for text in sample if separator in text]
        full = sum(all(" " in part.strip() for part in parts) for parts in several)
        if several and full >= 0.8 * len(several):
            return separator
    return ""


def commas(sample: Sequence[str]) -> bool:
    """Are commas between short parts: "rice, mushrooms, white wine"? Their parts need not repeat.

    In a third of the cells, or, in fewer, with a part that is some other cell whole.
    """
    several = [text.split(",") for text in sample if "," in text]
    parts = [part.strip() for row in several for part in row]
    if not parts or sum(len(part.split()) for part in parts) > 2.5 * len(parts):
        return False
    return 3 * len(several) >= len(sample) or bool(set(parts) & set(sample))


def shown_unit(use: str, unit: cells.Unit | None, label: str, facts: Facts) -> str | None:
    """The unit a sentence says after the number."""
    if use == "date":
        return None
    if use == "audience":
        return "years"
    if use == "stock":
        return "in stock"
    if use == "rating" and unit is None:
        return "stars" if facts.high <= 5 else f"of {10 if facts.high <= 10 else 100}"
    if use == "price" and unit is None:
        return None
    return unit.shown if unit else None


def nouns_of(source: str, title: str = "") -> tuple[str, str]:
    """ "hiking_boots-2024.csv" -> ("hiking boot", "hiking boots"); ("item", "items") in doubt.

    ``title``: the heading of the column of titles. Where it is a word of its own ("Object") and
    the file is named after the place ("museum"), not after many of a kind, it is the noun.
    """
    match = re.search(r"[?&]table=([^&]+)", source)
    stem = match[1].rpartition(".")[2] if match else PurePath(source.split("?")[0]).stem
    phrase = re.split(r"\b(?:in|of|from|for|by|mit|von|der|de)\b", fold(stem))[0]
    parts = [w for w in phrase.split() if not w.isdigit() and w not in DULL_NAMES]
    if not parts or len(parts) > 3 or any(any(c.isdigit() for c in w) for w in parts):
        return "item", "items"
    phrase = " ".join(parts)
    own = heading(title)
    place = phrase == singular(phrase) and phrase not in words().nouns
    own_word = bool(title) and not own.uses and own.words.isalpha()
    if place and own_word and own.words == singular(own.words) != phrase:
        return own.words, plural(own.words)
    known = words().nouns
    one = known.get(phrase) or singular(phrase)
    return one, plural(one)
