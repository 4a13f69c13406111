"""One request's item weights summed over the nodes of the slate mask, and its plain view.

A ``Filter`` is what a set of constraints (bits) or a retrieval prior (weights) comes to on
the trie: a count and a sum for every node above the items. They are taken by one pass in row
order, each item adding to the node it hangs on; sorting the weights into ID order first, as a
prefix sum would need, costs four times as much (random reads). Items themselves are looked
up in the row-ordered values, a few hundred at a time.

``Narrowed`` walks one request node by node, for tests, explanations and simple decoders;
``catalog.trie_batch`` answers for many nodes of many requests at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from catalog.errors import SlateError

if TYPE_CHECKING:
    from catalog.trie import SlateMask

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Positive weights below this share of the total are lifted to it: sums in float64 would lose
#: them (eps is 1.1e-16 of the total), and an allowed item must stay reachable.
FLOOR = 1e-13
#: Rows taken at a time: what a pass converts stays in the cache.
CHUNK = 1 << 19


class Children(NamedTuple):
    """The allowed children of one trie node, in code order.

    Shapes: all ``(c,)``. ``tokens`` are codes (0-255), ``[los, his)`` their item ranges
    in ``SlateMask.order``, ``weights`` the sums of item weights inside, all positive.
    """

    tokens: Ints
    los: Ints
    his: Ints
    weights: Floats


class Filter(NamedTuple):
    """Weights of all items and their sums over the nodes of one mask. Read only.

    ``values``: ``(N,)``, row order, bool or float64. ``counts[d]``, ``sums[d]``: ``(n,)`` of
    the nodes of depth d + 1 that are not items: allowed items inside, and their weight (for
    bits the same numbers). ``allowed``, ``total``: items and weight in all. ``floor``: no sum
    of an open node is below it.
    """

    values: npt.NDArray[Any]
    counts: tuple[npt.NDArray[np.int32], ...]
    sums: tuple[Floats, ...]
    allowed: int
    total: float
    floor: float

    @classmethod
    def of(cls, mask: SlateMask, weights: npt.NDArray[Any]) -> Filter:
        """See ``SlateMask.filter``."""
        if weights.shape != (len(mask),):
            raise SlateError(f"Weights have shape {weights.shape}: ({len(mask)},) is needed.")
        if weights.dtype == np.bool_:
            values: npt.NDArray[Any] = weights.copy()
            counts = _counts(mask, values)
            sums = [part.astype(np.float64) for part in counts]
            count = int(counts[0].sum()) if counts else int(values.sum())
            return cls(values, tuple(counts), tuple(sums), count, float(count), 0.0)
        values = weights.astype(np.float64)
        total = float(values.sum())
        if not np.isfinite(total) or float(values.min()) < 0:
            raise SlateError("Weights must be finite and not negative: 0 forbids an item.")
        bits = values > 0
        floor = max(total * FLOOR, float(np.finfo(np.float64).tiny)) if total else 0.0
        np.maximum(values, floor, out=values, where=bits)
        counts, sums = _counts(mask, bits), _sums(mask, values)
        count = int(counts[0].sum()) if counts else int(bits.sum())
        total = float(sums[0].sum()) if sums else float(values.sum())
        return cls(values, tuple(counts), tuple(sums), count, total, floor)


def _counts(mask: SlateMask, bits: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.int32]]:
    """Allowed items under each node, deepest level counted, the others summed from it."""
    if mask.levels == 1:
        return []
    n = len(mask.kids[-1]) - 1
    # Whichever is rarer is counted: open items, or closed ones taken from all.
    mostly = bool(np.count_nonzero(bits) > len(bits) // 2)
    found = np.zeros(n, dtype=np.int64)
    for a in range(0, len(bits), CHUNK):
        part = bits[a : a + CHUNK]
        rows = np.flatnonzero(~part if mostly else part)
        if len(rows):
            found += np.bincount(mask.parent[a : a + CHUNK].take(rows), minlength=n)
    deepest = np.diff(mask.kids[-1]) - found if mostly else found
    return [part.astype(np.int32) for part in _upwards(mask, deepest)]


def _sums(mask: SlateMask, values: Floats) -> list[Floats]:
    """The weight under each node."""
    if mask.levels == 1:
        return []
    n = len(mask.kids[-1]) - 1
    deepest = np.zeros(n, dtype=np.float64)
    for a in range(0, len(values), CHUNK):
        b = a + CHUNK
        deepest += np.bincount(mask.parent[a:b], weights=values[a:b], minlength=n)
    return _upwards(mask, deepest)


def _upwards(mask: SlateMask, deepest: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    parts = [deepest]
    for level in range(mask.levels - 2, 0, -1):
        parts.insert(0, np.add.reduceat(parts[0], mask.kids[level][:-1]))
    return parts


class Narrowed:
    """One request's view of the mask: weights over items, minus what was emitted.

    Whether a child is open is decided on counts, so rounding can neither close an allowed
    child nor reopen an emitted item.
    """

    def __init__(self, mask: SlateMask, filter: Filter) -> None:
        self.mask = mask
        self.filter = filter
        self.emitted: list[int] = []  # positions in ID order

    @property
    def left(self) -> int:
        """How many items may still be emitted."""
        return self.filter.allowed - len(self.emitted)

    def fork(self) -> Narrowed:
        """A view with its own list of emitted items (sums are shared): one a beam."""
        twin = Narrowed(self.mask, self.filter)
        twin.emitted = list(self.emitted)
        return twin

    def emit(self, row: int) -> None:
        """Take an item off this request. ``SlateError`` if it was not allowed."""
        at = int(self.mask.positions(row)[0])
        if self.filter.values[row] <= 0 or at in self.emitted:
            raise SlateError(f"Row {row} is not allowed here (excluded, or already emitted).")
        self.emitted.append(at)

    def children(self, level: int, lo: int, hi: int) -> Children:
        """The allowed children of ``[lo, hi)``. ``SlateError`` when there is none."""
        mask, values = self.mask, self.filter.values
        tokens, los, his = mask.children(level, lo, hi)
        if level == mask.levels - 1:
            weights = values[mask.order[lo:hi]].astype(np.float64)
            counts = (weights > 0).astype(np.int64)
        else:
            first = int(np.searchsorted(mask.firsts[level], lo))
            part = slice(first, first + len(tokens))
            weights = self.filter.sums[level][part].copy()
            counts = self.filter.counts[level][part].astype(np.int64)
        for at in self.emitted:
            if lo <= at < hi:
                child = int(np.searchsorted(los, at, side="right")) - 1
                counts[child] -= 1
                weights[child] -= values[mask.order[at]]
        open_ = counts > 0
        if not open_.any():
            raise SlateError(dead_end(f"[{lo}, {hi})", level))
        floor = self.filter.floor  # subtraction may leave rounding below the true weight
        return Children(tokens[open_], los[open_], his[open_], np.maximum(weights[open_], floor))


def dead_end(node: str, level: int) -> str:
    return (
        f"No allowed item below {node} at level {level}: check `left` before "
        "decoding another item, and relax a constraint when it is 0."
    )
