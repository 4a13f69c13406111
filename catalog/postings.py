"""Which rows hold a word or a value: an inverted index that takes up changes.

Rows by column in one flat array, a column a word; over it, for rows that were edited or came
since, a small one of the same kind. Made by polars over whole columns, without Python a row,
so that a million rows take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
AT_ONCE = 100_000  # rows of a column that are taken apart at a time
RUNS = 300  # runs of rows that are cut out of a table one by one; of more, gathering is faster


class Postings:
    """``vocabulary``: word -> column. ``n``: rows. Immutable, shared by threads.

    ``held(column)`` gives the rows that hold a word, each once, and its weight in each.
    """

    def __init__(
        self,
        n: int,
        vocabulary: dict[Any, int],
        rows: Ints,
        columns: Ints,
        weights: Floats,
        add: bool = False,
    ) -> None:
        """From triples; of several weights of one word in one row the greatest counts, or with
        ``add`` their sum, up to 1."""
        self.n, self.vocabulary = n, vocabulary
        order = np.argsort(columns * n + rows, kind="stable")
        rows, columns, weights = rows[order], columns[order], weights[order]
        first = np.ones(len(rows), dtype=np.bool_)
        first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
        at = np.flatnonzero(first)
        self._rows = rows[at].astype(np.int32)
        merge = np.add if add else np.maximum
        self._weights: Floats = merge.reduceat(weights, at) if len(at) else weights
        np.minimum(self._weights, 1.0, out=self._weights)
        self._starts = np.searchsorted(columns[at], np.arange(len(vocabulary) + 1))
        self._changed: Ints = np.zeros(0, dtype=np.int64)
        self._dirty: npt.NDArray[np.bool_] = np.zeros(n, dtype=np.bool_)
        self._over: Postings | None = None

    def held(self, column: int) -> tuple[npt.NDArray[Any], Floats]:
        """Rows that hold the word of a column, and its weights there. Shapes ``(k,)``."""
        if column + 1 < len(self._starts):
            lo, hi = self._starts[column : column + 2]
            rows, weights = self._rows[lo:hi], self._weights[lo:hi]
        else:
            rows, weights = self._rows[:0], self._weights[:0]
        if self._over is None:
            return rows, weights
        clean = ~self._dirty[rows]
        more, theirs = self._over.held(column)
        return (
            np.concatenate([rows[clean], self._changed[more].astype(np.int32)]),
            np.concatenate([weights[clean], theirs]),
        )

    def sizes(self) -> Ints:
        """How many rows hold each word. Shape ``(len(vocabulary),)``."""
        out = np.zeros(len(self.vocabulary), dtype=np.int64)
        out[: len(self._starts) - 1] = np.diff(self._starts)
        if self._over is not None:
            out[: len(self._over._starts) - 1] += np.diff(self._over._starts)
        return out

    def grown(
        self, n: int, rows: Ints, make: Callable[[Ints, dict[Any, int]], Postings]
    ) -> Postings:
        """With other contents of ``rows``, of ``n`` in all.

        ``make(rows, vocabulary)``: postings of all rows changed so far, numbered from 0, under
        a vocabulary that goes on from the given one.
        """
        out = object.__new__(Postings)
        out.__dict__ |= self.__dict__
        out._changed = np.union1d(self._changed, rows)
        out._over = make(out._changed, dict(self.vocabulary))
        out.n, out.vocabulary = n, out._over.vocabulary
        out._dirty = np.zeros(n, dtype=np.bool_)
        out._dirty[out._changed] = True
        return out


def picked(df: pl.DataFrame, rows: Ints) -> pl.DataFrame:
    """Some rows of a table, in the order given.

    Gathering from a table in pieces copies its columns first, a tenth of a second at a million
    rows. What changed lately is mostly one run at the end, and is cut out instead.
    """
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    if len(breaks) >= RUNS or not len(rows):
        return df[rows]
    starts = [0, *breaks.tolist(), len(rows)]
    runs = [df.slice(int(rows[a]), b - a) for a, b in pairwise(starts)]
    return pl.concat(runs).rechunk()


class Triples:
    """Collects what ``Postings`` is made from, column of a table by column."""

    def __init__(self, vocabulary: dict[Any, int] | None = None) -> None:
        self.vocabulary: dict[Any, int] = {} if vocabulary is None else vocabulary
        self._parts: list[tuple[Ints, Ints, Floats]] = []

    def add(
        self,
        column: pl.Series,
        words: Callable[[Any], Iterable[Any]],
        weight: float = 1.0,
        pattern: str | None = None,
    ) -> None:
        """Values of a column, or with ``pattern`` its matches in texts, as ``words`` has each.

        ``words`` is asked once for every distinct value.
        """
        known: dict[Any, list[int]] = {}
        for start in range(0, len(column), AT_ONCE):
            part = column.slice(start, AT_ONCE)
            if pattern is not None:
                part = part.str.extract_all(pattern)
            table = pl.DataFrame({"row": np.arange(start, start + len(part)), "value": part})
            if isinstance(part.dtype, pl.List):
                table = table.explode("value")
            table = table.drop_nulls()
            if not len(table):
                continue
            values = table["value"].unique(maintain_order=True)
            for value in values.to_list():
                if value not in known:
                    known[value] = [self._column(word) for word in words(value)]
            spans = [known[value] for value in values.to_list()]
            sizes = np.array([len(span) for span in spans], dtype=np.int64)
            flat = np.array([c for span in spans for c in span], dtype=np.int64)
            code = pl.DataFrame({"value": values, "code": np.arange(len(values))})
            which = table.join(code, on="value", maintain_order="left")["code"].to_numpy()
            row = table["row"].to_numpy()
            many = sizes[which]
            begin = (np.cumsum(sizes) - sizes)[which]
            inside = np.arange(int(many.sum())) - np.repeat(np.cumsum(many) - many, many)
            columns = flat[np.repeat(begin, many) + inside] if len(flat) else flat
            rows = np.repeat(row, many)
            width = max(1, len(self.vocabulary))  # a row may hold a word twice
            keys = np.sort(rows * width + columns)  # np.unique hashes, and is thirty times slower
            rows, columns = np.divmod(keys[np.diff(keys, prepend=-1) > 0], width)
            self._parts.append((rows, columns, np.full(len(rows), weight, dtype=np.float32)))

    def _column(self, word: Any) -> int:
        return self.vocabulary.setdefault(word, len(self.vocabulary))

    def postings(self, n: int, add: bool = False) -> Postings:
        """All that was added, over ``n`` rows; ``add``: see ``Postings``."""
        rows, columns, weights = (
            np.concatenate([part[k] for part in self._parts]) if self._parts else np.zeros(0, t)
            for k, t in enumerate((np.int64, np.int64, np.float32))
        )
        return Postings(n, self.vocabulary, rows, columns, weights, add)
