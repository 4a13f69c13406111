"""The slate mask: which semantic-ID tokens may come next, and how much lies behind them.

Sort the items by their codes and every trie node is a contiguous range ``[lo, hi)`` of
that order. So the trie is two arrays a level (where each node starts, which code it is:
a CSR), and a question about a node is a difference of prefix sums:

* a child is allowed iff some allowed item lies in its range and is not yet on the slate;
* its weight is the sum of the item weights there, which is exactly the marginal of the
  retrieval prior over the trie: no approximation, no Python per node.

Hard constraints are weight 0, everything else is a positive weight. The mask **fails
closed**: when nothing is allowed it raises ``SlateError``; it never opens.

    mask = SlateMask(codes)                  # codes (N, 3), unique rows
    view = mask.narrow(weights)              # (N,) weights in catalogue row order, 0 = forbidden
    lo, hi = 0, len(mask)
    for level in range(mask.levels):
        kids = view.children(level, lo, hi)  # tokens, los, his, weights: only allowed ones
        pick = choose(kids)
        lo, hi = kids.los[pick], kids.his[pick]
    row = mask.order[lo]
    view.emit(row)                           # never again on this slate

Ids are (level, code); the decoder adds the offset of its own vocabulary slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from catalog.errors import SlateError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Positive weights below this share of the total are lifted to it: a float64 prefix sum
#: would lose them (eps is 1.1e-16 of the total), and an allowed item must stay reachable.
FLOOR = 1e-13


class Children(NamedTuple):
    """The allowed children of one trie node, in code order.

    Shapes: all ``(c,)``. ``tokens`` are codes (0-255), ``[los, his)`` their item ranges
    in ``SlateMask.order``, ``weights`` the sums of item weights inside, all positive.
    """

    tokens: Ints
    los: Ints
    his: Ints
    weights: Floats


class SlateMask:
    """The trie over a catalogue's semantic IDs. Immutable; shared by all requests.

    ``codes``: shape ``(N, L)``, integers 0-255, no two rows equal (``SlateError``).
    ``order``: ``(N,)`` catalogue rows in ID order. ``position``: its inverse.
    """

    def __init__(self, codes: npt.ArrayLike) -> None:
        table = np.asarray(codes)
        if table.ndim != 2 or not len(table) or not 1 <= table.shape[1] <= 7:
            raise SlateError(f"Codes have shape {table.shape}: (items, 1 to 7 levels) is needed.")
        if int(table.min()) < 0 or int(table.max()) > 255:
            raise SlateError(f"Codes run {table.min()}-{table.max()}: 0-255 is the range.")
        self.levels: int = table.shape[1]
        keys = _keys(table)
        self.order: Ints = np.argsort(keys, kind="stable").astype(np.int64)
        self._keys: Ints = keys[self.order]
        twins = np.flatnonzero(self._keys[1:] == self._keys[:-1])
        if len(twins):
            a, b = self.order[twins[0]], self.order[twins[0] + 1]
            raise SlateError(
                f"Rows {a} and {b} share the semantic ID {table[a].tolist()} ({len(twins)} pairs "
                "in all): resolve collisions with catalog.semantic_ids.assign."
            )
        self.position: Ints = np.empty_like(self.order)
        self.position[self.order] = np.arange(len(self.order))
        #: per level: where each node's range starts in ``order``, closed by N; and its code
        self.starts: list[Ints] = []
        self.tokens: list[Ints] = []
        for level in range(self.levels):
            prefix = self._keys >> (8 * (self.levels - 1 - level))
            first = np.flatnonzero(np.r_[True, prefix[1:] != prefix[:-1]])
            self.starts.append(np.append(first, len(keys)).astype(np.int64))
            self.tokens.append((prefix[first] & 255).astype(np.int64))

    def __len__(self) -> int:
        return len(self.order)

    def prefix(self, weights: npt.ArrayLike) -> Floats:
        """Prefix sums of item weights in ID order, so a range's weight is ``c[hi] - c[lo]``.

        ``weights``: shape ``(N,)``, row order, finite and >= 0. Returns ``(N + 1,)`` float64.
        """
        total = np.zeros(len(self) + 1, dtype=np.float64)
        np.cumsum(self._floored(weights)[self.order], out=total[1:])
        return total

    def children(self, level: int, lo: int, hi: int) -> tuple[Ints, Ints, Ints]:
        """Every child of the node ``[lo, hi)`` at ``level`` (0 = below the root).

        Returns ``(tokens, los, his)``, each ``(c,)``; empty for an empty range.
        """
        starts = self.starts[level]
        first, last = np.searchsorted(starts, (lo, hi))
        return self.tokens[level][first:last], starts[first:last], starts[first + 1 : last + 1]

    def node(self, codes: Sequence[int]) -> tuple[int, int]:
        """The range ``[lo, hi)`` under a prefix of codes; empty (``lo == hi``) if none is there."""
        if len(codes) > self.levels:
            raise SlateError(f"{len(codes)} codes for {self.levels} levels: give a prefix.")
        key = 0
        for code in codes:
            key = key * 256 + int(code)
        shift = 8 * (self.levels - len(codes))
        lo, hi = np.searchsorted(self._keys, (key << shift, (key + 1) << shift))
        return int(lo), int(hi)

    def narrow(self, weights: npt.ArrayLike) -> Narrowed:
        """This request's view: item weights (0 = forbidden) and what its slate has emitted."""
        return Narrowed(self, weights)

    def allowed(self, bits: npt.ArrayLike, codes: Sequence[int] = ()) -> set[int]:
        """Which codes may follow the prefix ``codes`` when only ``bits`` rows are allowed.

        The plain-set form of ``narrow(bits).children``, for tests and explanations.
        """
        lo, hi = self.node(codes)
        return set(self.narrow(bits).children(len(codes), lo, hi).tokens.tolist())

    def _floored(self, weights: npt.ArrayLike) -> Floats:
        values = np.asarray(weights, dtype=np.float64)
        if values.shape != (len(self),):
            raise SlateError(f"Weights have shape {values.shape}: ({len(self)},) is needed.")
        total = float(values.sum())
        if not np.isfinite(total) or float(values.min()) < 0:
            raise SlateError("Weights must be finite and not negative: 0 forbids an item.")
        floored: Floats = np.where(values > 0, np.maximum(values, total * FLOOR), 0.0)
        return floored


class Narrowed:
    """One request's view of the mask: weights over items, minus what was emitted.

    Counts are kept beside the float sums: whether a child is open is decided on integers,
    so rounding can neither close an allowed child nor reopen an emitted item.
    """

    def __init__(self, mask: SlateMask, weights: npt.ArrayLike) -> None:
        self.mask = mask
        self._weights = mask._floored(weights)[mask.order]
        self.sums: Floats = np.zeros(len(mask) + 1)
        np.cumsum(self._weights, out=self.sums[1:])
        self.counts: Ints = np.zeros(len(mask) + 1, dtype=np.int64)
        np.cumsum(self._weights > 0, out=self.counts[1:])
        self.emitted: list[int] = []  # positions in ID order

    @property
    def left(self) -> int:
        """How many items may still be emitted."""
        return int(self.counts[-1]) - len(self.emitted)

    def fork(self) -> Narrowed:
        """A view with its own list of emitted items (sums are shared): one a beam."""
        twin = object.__new__(Narrowed)
        twin.mask, twin._weights, twin.sums, twin.counts = (
            self.mask,
            self._weights,
            self.sums,
            self.counts,
        )
        twin.emitted = list(self.emitted)
        return twin

    def emit(self, row: int) -> None:
        """Take an item off this request. ``SlateError`` if it was not allowed."""
        at = int(self.mask.position[row])
        if self._weights[at] <= 0 or at in self.emitted:
            raise SlateError(f"Row {row} is not allowed here (excluded, or already emitted).")
        self.emitted.append(at)

    def children(self, level: int, lo: int, hi: int) -> Children:
        """The allowed children of ``[lo, hi)``. ``SlateError`` when there is none."""
        tokens, los, his = self.mask.children(level, lo, hi)
        counts = self.counts[his] - self.counts[los]
        weights = self.sums[his] - self.sums[los]
        for at in self.emitted:
            if lo <= at < hi:
                child = int(np.searchsorted(los, at, side="right")) - 1
                counts[child] -= 1
                weights[child] -= self._weights[at]
        open_ = counts > 0
        if not open_.any():
            raise SlateError(
                f"No allowed item below [{lo}, {hi}) at level {level}: check `left` before "
                "decoding another item, and relax a constraint when it is 0."
            )
        floor = self.sums[-1] * FLOOR  # subtraction may leave rounding below the true weight
        return Children(tokens[open_], los[open_], his[open_], np.maximum(weights[open_], floor))


def _keys(table: npt.NDArray[np.integer]) -> Ints:
    """Codes as one integer an item, most significant level first. Shape: ``(N,)``."""
    keys = np.zeros(len(table), dtype=np.int64)
    for level in range(table.shape[1]):
        keys = keys * 256 + table[:, level].astype(np.int64)
    return keys
