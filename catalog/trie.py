"""The slate mask: which semantic-ID tokens may come next, and how much lies behind them.

Sort the items by their codes and every trie node is a contiguous range of that order, so the
whole trie is a few flat arrays: sorted keys, the order itself, and per level where each node
starts. A question about a node is then a sum over its range:

* a child is allowed iff some allowed item lies in it and is not yet on the slate;
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

Many nodes of many requests at once: ``mask.batch`` (``catalog.trie_batch``), on an accelerator
``catalog.trie_torch``. Kept on disk, memory-mapped: ``catalog.trie_file``. Ids are
(level, code); the decoder adds the offset of its own vocabulary slice.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.errors import SlateError
from catalog.trie_batch import Batch, Tables
from catalog.trie_filter import Children, Filter, Narrowed

__all__ = ["Children", "Filter", "Narrowed", "SlateMask"]

Ints = npt.NDArray[np.int64]
Index = npt.NDArray[np.int32]
Keys = npt.NDArray[np.unsignedinteger[Any]]
Floats = npt.NDArray[np.float64]

#: Filters kept because the same constraints come again turn after turn.
KEPT_FILTERS = 8


class SlateMask:
    """The trie over a catalogue's semantic IDs. Immutable; shared by all requests.

    A node of depth d (the root has depth 0) has a number among the nodes of its depth, in ID
    order; a node of depth L is an item, and its number is its place in ``order``.

    ``order``: ``(N,)`` catalogue rows in ID order. ``keys``: ``(N,)`` codes as one integer,
    sorted. ``parent``: ``(N,)``, row order, the number of the depth L-1 node an item hangs on.
    ``firsts[d]``: ``(n + 1,)``, where the range of each node of depth d + 1 starts, closed by
    N. ``tokens[d]``: ``(n,)`` their codes. ``kids[d]``: the number of the first child of each
    node of depth d. ``tables``: the same near the root, code by code. About 10 bytes an item.
    """

    def __init__(self, codes: npt.ArrayLike) -> None:
        """``codes``: shape ``(N, L)``, integers 0-255, no two rows equal (``SlateError``)."""
        table = checked_codes(codes)
        # Key and row in one integer: one sort of plain integers, five times an argsort.
        keys = keys_of(table)
        rows = np.arange(len(keys), dtype=np.uint64)
        if keys.dtype == np.uint32:
            packed = np.sort((keys.astype(np.uint64) << np.uint64(32)) | rows)
            keys = (packed >> np.uint64(32)).astype(np.uint32)
            order = (packed & np.uint64(0xFFFFFFFF)).astype(np.int32)
        else:
            order = np.argsort(keys, kind="stable").astype(np.int32)
            keys = keys[order]
        self._set(keys, order, table.shape[1])

    @classmethod
    def of(cls, keys: Keys, order: Index, levels: int, parent: Any = None) -> SlateMask:
        """From sorted keys and their order (a saved mask, or one grown by ``insert``)."""
        mask = object.__new__(cls)
        mask._set(keys, order, levels, parent)
        return mask

    def _set(self, keys: Keys, order: Index, levels: int, parent: Any = None) -> None:
        twins = np.flatnonzero(keys[1:] == keys[:-1])
        if len(twins):
            at = int(twins[0])
            codes = [int(keys[at]) >> 8 * k & 255 for k in reversed(range(levels))]
            raise SlateError(
                f"Rows {order[at]} and {order[at + 1]} share the semantic ID {codes} "
                f"({len(twins)} pairs in all): resolve collisions with catalog.semantic_ids.assign."
            )
        self.levels, self.keys, self.order = levels, keys, order
        n = len(keys)
        self.firsts: list[Index] = []
        self.tokens: list[npt.NDArray[np.uint8]] = []
        for level in range(levels - 1):
            prefix = keys >> (8 * (levels - 1 - level))
            first = np.r_[0, np.flatnonzero(prefix[1:] != prefix[:-1]) + 1]
            self.firsts.append(np.append(first, n).astype(np.int32))
            self.tokens.append((prefix[first] & 255).astype(np.uint8))
        top = np.array([0, len(self.tokens[0]) if self.tokens else n], dtype=np.int32)
        middle = [
            np.searchsorted(below, above).astype(np.int32)
            for above, below in zip(self.firsts, self.firsts[1:], strict=False)
        ]
        self.kids: list[Index] = [top, *middle, *self.firsts[-1:]]
        self.parent = self._parents() if parent is None else parent
        self.tables = Tables.of(self)
        self._filters: OrderedDict[bytes, Filter] = OrderedDict()
        self._lock = threading.Lock()

    def _parents(self) -> npt.NDArray[Any]:
        sizes = np.diff(self.kids[-1])
        small = np.uint16 if len(sizes) <= 1 << 16 else np.int32
        parent = np.empty(len(self), dtype=small)
        parent[self.order] = np.repeat(np.arange(len(sizes), dtype=small), sizes)
        return parent

    def __len__(self) -> int:
        return len(self.order)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        parts = (self.keys, self.order, self.parent, *self.firsts, *self.tokens, *self.kids[1:-1])
        return sum(part.nbytes for part in parts)

    def positions(self, rows: npt.ArrayLike) -> Ints:
        """Places of catalogue rows in ID order. Shape: ``(n,)``. ``SlateError`` off the range."""
        wanted = np.asarray(rows, dtype=np.int64).reshape(-1)
        if len(wanted) and (int(wanted.min()) < 0 or int(wanted.max()) >= len(self)):
            bad = int(wanted[(wanted < 0) | (wanted >= len(self))][0])
            raise SlateError(f"Row {bad} is not in the mask: rows run from 0 to {len(self) - 1}.")
        node = self.parent[wanted].astype(np.int64)
        whose, at = spread(self.kids[-1][node], self.kids[-1][node + 1])
        places: Ints = at[self.order[at] == wanted[whose]]
        return places

    def path(self, positions: Ints, depth: int) -> Ints:
        """The nodes of ``depth`` above items at these places of ``order``. Shape: ``(n,)``."""
        if depth == 0:
            return np.zeros(len(positions), dtype=np.int64)
        if depth == self.levels:
            return positions
        firsts: npt.NDArray[Any] = self.firsts[depth - 1]
        above: Ints = firsts.searchsorted(positions, side="right") - 1
        return above

    def token(self, positions: Ints, level: int) -> Ints:
        """The codes at ``level`` of the items at these places of ``order``. Shape: ``(n,)``."""
        codes: Ints = (self.keys[positions] >> (8 * (self.levels - 1 - level)) & 255).astype(
            np.int64
        )
        return codes

    def prefix(self, weights: npt.ArrayLike) -> Floats:
        """Prefix sums of item weights in ID order, so a range's weight is ``c[hi] - c[lo]``.

        ``weights``: shape ``(N,)``, row order, finite and >= 0. Returns ``(N + 1,)`` float64.
        The plain definition that the sums of a ``Filter`` are tested against.
        """
        total = np.zeros(len(self) + 1, dtype=np.float64)
        np.cumsum(self.filter(weights).values[self.order], out=total[1:])
        return total

    def children(self, level: int, lo: int, hi: int) -> tuple[Ints, Ints, Ints]:
        """Every child of the node ``[lo, hi)`` at ``level`` (0 = below the root).

        Returns ``(tokens, los, his)``, each ``(c,)``; empty for an empty range.
        """
        if level == self.levels - 1:
            los = np.arange(lo, hi)
            return (self.keys[lo:hi] & 255).astype(np.int64), los, los + 1
        starts = self.firsts[level]
        first, last = np.searchsorted(starts, (lo, hi))
        los, his = starts[first:last].astype(np.int64), starts[first + 1 : last + 1]
        return self.tokens[level][first:last].astype(np.int64), los, his.astype(np.int64)

    def node(self, codes: Sequence[int]) -> tuple[int, int]:
        """The range ``[lo, hi)`` under a prefix of codes; empty (``lo == hi``) if none is there."""
        if len(codes) > self.levels:
            raise SlateError(f"{len(codes)} codes for {self.levels} levels: give a prefix.")
        if any(not 0 <= int(code) <= 255 for code in codes):
            return 0, 0
        key = 0
        for code in codes:
            key = key * 256 + int(code)
        shift = 8 * (self.levels - len(codes))
        first, last = key << shift, ((key + 1) << shift) - 1
        kind = self.keys.dtype.type  # of the keys' own type, or numpy would copy them all
        lo = np.searchsorted(self.keys, kind(first))
        return int(lo), int(np.searchsorted(self.keys, kind(last), side="right"))

    def filter(self, weights: npt.ArrayLike) -> Filter:
        """Node sums of item weights, or of a bitmap; of a bitmap they are kept for next time.

        ``weights``: ``(N,)``, row order: bool (allowed or not), or finite numbers >= 0 where
        0 forbids. ``SlateError`` on another shape or other values.
        """
        values = np.asarray(weights)
        if values.dtype != np.bool_ or values.shape != (len(self),):
            return Filter.of(self, values)
        # A bitmap is told again by its content: callers compile it anew every turn.
        key = hashlib.blake2b(np.packbits(values).tobytes(), digest_size=16).digest()
        with self._lock:
            if found := self._filters.get(key):
                self._filters.move_to_end(key)
                return found
        made = Filter.of(self, values)
        with self._lock:
            self._filters[key] = made
            if len(self._filters) > KEPT_FILTERS:
                self._filters.popitem(last=False)
        return made

    def narrow(self, weights: npt.ArrayLike) -> Narrowed:
        """This request's view: item weights (0 = forbidden) and what its slate has emitted."""
        return Narrowed(self, self.filter(weights))

    def batch(
        self, filters: Sequence[Filter], excluded: Sequence[npt.ArrayLike] | None = None
    ) -> Batch:
        """The views of several requests together. ``excluded``: rows off each, if any."""
        return Batch(self, filters, excluded)

    def allowed(self, bits: npt.ArrayLike, codes: Sequence[int] = ()) -> set[int]:
        """Which codes may follow the prefix ``codes`` when only ``bits`` rows are allowed.

        The plain-set form of ``narrow(bits).children``, for tests and explanations.
        """
        lo, hi = self.node(codes)
        return set(self.narrow(bits).children(len(codes), lo, hi).tokens.tolist())

    def insert(self, codes: npt.ArrayLike) -> SlateMask:
        """A new mask with these items added as rows N, N+1, ...; this one stays as it is.

        ``codes``: ``(m, L)``. Copy on write, so whoever decodes on this mask goes on unharmed.
        ``SlateError`` when a code is taken already.
        """
        table = checked_codes(codes)
        if table.shape[1] != self.levels:
            raise SlateError(f"Codes of {table.shape[1]} levels for a mask of {self.levels}.")
        new = keys_of(table).astype(self.keys.dtype)
        rows = np.argsort(new, kind="stable").astype(np.int32)
        new = new[rows]
        at = np.searchsorted(self.keys, new)
        keys = np.insert(self.keys, at, new)
        return SlateMask.of(keys, np.insert(self.order, at, len(self) + rows), self.levels)


def spread(lows: npt.NDArray[Any], highs: npt.NDArray[Any]) -> tuple[Ints, Ints]:
    """All numbers of the ranges ``[low, high)``, and for each the range it is from.

    Shapes: ``lows, highs`` ``(n,)`` -> two of ``(sum of lengths,)``.
    """
    sizes = highs.astype(np.int64) - lows
    ends = np.cumsum(sizes)
    whose = np.repeat(np.arange(len(sizes)), sizes)
    return whose, np.arange(len(whose)) + (lows - ends + sizes)[whose]


def checked_codes(codes: npt.ArrayLike) -> npt.NDArray[np.integer[Any]]:
    """Codes as a table. ``SlateError`` unless ``(N >= 1, 1 to 7)`` of integers 0-255."""
    table = np.asarray(codes)
    if table.ndim != 2 or not len(table) or not 1 <= table.shape[1] <= 7:
        raise SlateError(f"Codes have shape {table.shape}: (items, 1 to 7 levels) is needed.")
    if table.dtype != np.uint8 and (int(table.min()) < 0 or int(table.max()) > 255):
        raise SlateError(f"Codes run {table.min()}-{table.max()}: 0-255 is the range.")
    if len(table) >= 1 << 31:
        raise SlateError(f"{len(table)} items: the mask holds fewer than {1 << 31}.")
    return table


def keys_of(table: npt.NDArray[np.integer[Any]]) -> Keys:
    """Codes as one integer an item, most significant level first. Shape: ``(N,)``."""
    kind: Any = np.uint32 if table.shape[1] <= 4 else np.uint64
    keys: Keys = table[:, 0].astype(kind)
    for level in range(1, table.shape[1]):
        keys = (keys << kind(8)) | table[:, level].astype(kind)
    return keys
