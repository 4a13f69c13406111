"""Forms of titles -> catalogue rows: a hashed index that is small, storable, and takes up changes.

A dictionary of a million titles' forms costs gigabytes and minutes. Here a form is eight bytes
of its hash in a sorted array beside its row and kind, so that a look-up is a bisection; two forms
of one hash are not to be expected below some hundred million forms. Large catalogues keep the
index in a file.

In large catalogues only the best known items are filed under short forms too ("eternal
sunshine"): of a million items nobody means one nobody names by half its title.
"""

from __future__ import annotations

import copy
import zipfile
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tools.names import ARTICLES, PLAIN_ENDS, WORD_PATTERN, fold, numeral, title_forms

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
KINDS: Final = ("full", "tail", "short", "compact", "acronym", "sequel")
KNOWN: Final = 100_000  # items that are filed under derived forms, the best known
KEPT_FROM: Final = 100_000  # items from which the index is kept in a file
VERSION: Final = 1
AT_ONCE: Final = 100_000  # titles that are taken apart at a time
#: A title with a subtitle, a year, or a "½" in it, which polars takes for no part of a word.
ODD: Final = r"[:;()–—\p{No}\p{Nl}]|\s-\s"
SPECIAL: Final = sorted(PLAIN_ENDS)  # words that make further forms


class Form(NamedTuple):
    """A row that a form may mean, and how the form was derived (``tools.names``)."""

    row: int
    kind: str


class Forms:
    """The index. Immutable; ``grown`` makes another."""

    def __init__(self, hashes: Hashes, rows: Ints, kinds: npt.NDArray[np.uint8], starts: Hashes,
                 words: frozenset[str]) -> None:  # fmt: skip
        self._hashes, self._rows, self._kinds, self._starts = hashes, rows, kinds, starts
        self._words = words
        self._over: dict[str, list[Form]] = {}
        self._over_starts: frozenset[str] = frozenset()
        self._over_words: frozenset[str] = frozenset()
        self._left: frozenset[int] = frozenset()  # rows whose old forms no longer count

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, int, str]]) -> Forms:
        """From (form, row, kind); of several kinds of one form and row the first counts."""
        hashes: list[int] = []
        rows: list[int] = []
        kinds: list[int] = []
        starts: set[int] = set()
        words: set[str] = set()
        for form, row, kind in pairs:
            split = form.split(" ")
            hashes.append(hashed(form))
            rows.append(row)
            kinds.append(KINDS.index(kind))
            words.update(split)
            starts.add(hashed(split[0]))
            if len(split) > 1:
                starts.add(hashed(f"{split[0]} {split[1]}"))
        keys, places = np.array(hashes, dtype=np.uint64), np.array(rows, dtype=np.int64)
        order = np.argsort(keys, kind="stable")
        keys, places = keys[order], places[order]
        kind_of = np.array(kinds, dtype=np.uint8)[order]
        begins = np.sort(np.array(list(starts), dtype=np.uint64))
        return cls(keys, places, kind_of, begins, frozenset(words))

    def __contains__(self, form: str) -> bool:
        return bool(self.get(form))

    def get(self, form: str) -> list[Form]:
        """The rows a form may mean, each once; none for an unknown one."""
        key = np.uint64(hashed(form))
        lo = int(self._hashes.searchsorted(key))
        hi = int(self._hashes.searchsorted(key, side="right"))
        found: dict[int, Form] = {}
        for at in range(lo, hi):
            row = int(self._rows[at])
            if row not in self._left:
                found.setdefault(row, Form(row, KINDS[self._kinds[at]]))
        for one in self._over.get(form, ()):
            found.setdefault(one.row, one)
        return list(found.values())

    def begins(self, words: str) -> bool:
        """Does a form begin with these one or two words?"""
        key = np.uint64(hashed(words))
        at = int(self._starts.searchsorted(key))
        return words in self._over_starts or (
            at < len(self._starts) and bool(self._starts[at] == key)
        )

    def knows(self, word: str) -> bool:
        """Does a word occur in any form?"""
        return word in self._words or word in self._over_words

    @property
    def words(self) -> frozenset[str]:
        return self._words | self._over_words if self._over_words else self._words

    def grown(self, left: Iterable[int], pairs: Iterable[tuple[str, int, str]]) -> Forms:
        """With the forms of all rows changed so far, ``left``, instead of their old ones."""
        out = copy.copy(self)
        out._left = frozenset(left)
        over: dict[str, list[Form]] = {}
        for form, row, kind in pairs:
            over.setdefault(form, []).append(Form(row, kind))
        out._over = over
        split = [form.split(" ") for form in over]
        out._over_words = frozenset(w for words in split for w in words)
        out._over_starts = frozenset(" ".join(words[:k]) for words in split for k in (1, 2))
        return out

    def save(self, path: Path, mark: str) -> None:
        """Keep the index in a file, whole or not at all. ``mark``: the catalogue's fingerprint."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.tmp")
        words = "\n".join(sorted(self._words)).encode()
        with new.open("wb") as file:
            np.savez(
                file,
                version=VERSION,
                mark=np.array(mark),
                hashes=self._hashes,
                rows=self._rows.astype(np.int32),
                kinds=self._kinds,
                starts=self._starts,
                words=np.frombuffer(words, dtype=np.uint8),
            )
        new.replace(path)

    @classmethod
    def read(cls, path: Path, mark: str) -> Forms | None:
        """The kept index of this catalogue; None when it is missing, another's or damaged."""
        try:
            with np.load(path) as data:
                if int(data["version"]) != VERSION or str(data["mark"]) != mark:
                    return None
                words = frozenset(data["words"].tobytes().decode().split("\n"))
                rows = data["rows"].astype(np.int64)
                return cls(data["hashes"], rows, data["kinds"], data["starts"], words)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None  # made again: it is only kept to save time


def hashed(form: str) -> int:
    return int.from_bytes(blake2b(form.encode(), digest_size=8).digest(), "little")


def whole_forms(df: pl.DataFrame, rows: npt.NDArray[np.int64]) -> Iterator[tuple[str, int, str]]:
    """``forms_of`` of whole titles only, over columns: a million titles in seconds.

    Titles with more than words in them (a colon, brackets, "Part") take the long way.
    """
    for start in range(0, len(df), AT_ONCE):
        part, own = df.slice(start, AT_ONCE), rows[start : start + AT_ONCE]
        table = pl.DataFrame({"row": own, "title": part["title"]})
        odd = table["title"].str.contains(ODD).fill_null(True)
        if "original_title" in part:
            odd |= part["original_title"].is_not_null()
        split = table.filter(~odd).with_columns(pl.col("title").str.extract_all(WORD_PATTERN))
        split = split.explode("title").drop_nulls()
        said = split["title"].unique()
        folded = pl.Series([numeral(fold(word)) for word in said.to_list()], dtype=pl.String)
        known = pl.DataFrame({"title": said, "word": folded})
        split = split.join(known, on="title", maintain_order="left")
        special = split.filter(pl.col("word").is_in(SPECIAL))["row"].unique()
        plain = split.filter(~pl.col("row").is_in(special.implode()))
        plain = plain.filter(~pl.col("word").is_in(sorted(ARTICLES)))
        joined = plain.group_by("row", maintain_order=True).agg(pl.col("word").str.join(" "))
        for row, form in zip(joined["row"].to_list(), joined["word"].to_list(), strict=True):
            yield form, row, "full"
        left = ~table["row"].is_in(joined["row"].implode())
        others = part.filter(left)
        yield from forms_of(others, own[left.to_numpy()].tolist(), lambda row: False)


def forms_of(
    df: pl.DataFrame, rows: Iterable[int], derived: Callable[[int], bool]
) -> Iterable[tuple[str, int, str]]:
    """Forms of the titles, and of the other titles, of a table's rows.

    ``rows``: their numbers in the catalogue, in the table's order. ``derived``: whether a row
    is known well enough to be called by less than its whole title.
    """
    others = df["original_title"].to_list() if "original_title" in df else [None] * len(df)
    for row, title, other in zip(rows, df["title"].to_list(), others, strict=True):
        all_of_them = derived(row)
        for name in (title, other):
            if name:
                for form, kind in title_forms(str(name), whole=not all_of_them).items():
                    if all_of_them or kind == "full":
                        yield form, row, kind
