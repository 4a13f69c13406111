"""The slate mask for many nodes of many requests in one vectorised call.

A decoder holds B requests with a bitmap (or weights) each and some beams a request; ``step``
takes all their nodes at once and answers with one row of 256 a node, code by code: how much
weight lies behind it (0 = closed) and the number of the child node. Near the root those rows
are stored as they are; below, ranges are spread out by index arithmetic. Items that a request
excludes or has emitted are a short sorted list, joined to the nodes by binary search and taken
off the rows: a filter's sums are never rewritten, so requests share them.

    batch = mask.batch([mask.filter(bits) for bits in bitmaps], excluded)
    step = batch.step(0, owners, nodes)          # owners: which request; nodes: all 0, the root
    nodes = step.children[parents, codes]        # one level deeper; after the last: positions
    batch.emit(owners, nodes)                    # rows are mask.order[nodes]

Everything is NumPy; ``catalog.trie_torch`` is the same on torch tensors of any device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from catalog.errors import SlateError
from catalog.trie_filter import Filter, dead_end

if TYPE_CHECKING:
    from catalog.trie import SlateMask

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int32]
CODES = 256
_ONES = np.ones(CODES)


class Step(NamedTuple):
    """What may follow each node. Shapes: ``(J, 256)``, one column a code.

    ``weights``: the weight behind the code, 0 where it is closed. ``children``: the child's
    number one level deeper (of an item: its place in ``order``); -1 where there is none.
    """

    weights: Floats
    children: Index

    def logs(self, alpha: float = 1.0) -> Floats:
        """``alpha * log(weight)``, ``-inf`` where closed, whatever alpha. Shape ``(J, 256)``."""
        with np.errstate(divide="ignore"):
            logs: Floats = np.log(self.weights)
        return np.where(self.weights > 0, alpha * logs, -np.inf) if alpha != 1 else logs

    def close(self, logits: npt.NDArray[Any], first: int) -> None:
        """Close a full vocabulary in place: only open codes keep their logit.

        ``logits``: ``(J, V)``; ``first``: the id of this level's code 0. For engines that
        want a mask over everything; ours works on the level's slice and is far cheaper.
        """
        if not 0 <= first <= logits.shape[1] - CODES:
            raise SlateError(
                f"Codes would stand at {first}-{first + CODES - 1} of a vocabulary of "
                f"{logits.shape[1]}: give the id of the level's first code."
            )
        logits[:, :first] = -np.inf
        logits[:, first + CODES :] = -np.inf
        part = logits[:, first : first + CODES]
        part[self.weights <= 0] = -np.inf


class Tables(NamedTuple):
    """Rows of 256 for the levels near the root, where the parents are few."""

    children: list[Index]  #: per level (parents, 256)
    slots: list[npt.NDArray[np.int64]]  #: per level (n,): where a child stands in the flat table

    @classmethod
    def of(cls, mask: SlateMask) -> Tables:
        children, slots = [], []
        for level in range(mask.levels - 1):
            parents = len(mask.kids[level]) - 1
            if parents > CODES:
                break
            sizes = np.diff(mask.kids[level])
            slot = np.repeat(np.arange(parents) * CODES, sizes) + mask.tokens[level]
            child = np.full(parents * CODES, -1, dtype=np.int32)
            child[slot] = np.arange(len(slot))
            children.append(child.reshape(parents, CODES))
            slots.append(slot)
        return cls(children, slots)


class Batch:
    """The requests of one decoding batch. Not for several threads at once; the mask is."""

    def __init__(
        self,
        mask: SlateMask,
        filters: Sequence[Filter],
        excluded: Sequence[npt.ArrayLike] | None = None,
    ) -> None:
        """``filters``: one a request (the same object may come again); ``excluded``: rows."""
        if not filters:
            raise SlateError("A batch of 0 requests: give at least one filter.")
        if excluded is not None and len(excluded) != len(filters):
            raise SlateError(f"{len(excluded)} lists of excluded rows for {len(filters)} requests.")
        self.mask = mask
        distinct = list({id(f): f for f in filters}.values())
        place = {id(f): i for i, f in enumerate(distinct)}
        self.which: Ints = np.array([place[id(f)] for f in filters])
        self._values = _stack([f.values for f in distinct]).reshape(-1)
        self._counts = [_stack(list(p)).reshape(-1) for p in zip(*(f.counts for f in distinct))]  # noqa: B905
        self._sums = [_stack(list(p)).reshape(-1) for p in zip(*(f.sums for f in distinct))]  # noqa: B905
        self._floor = np.array([f.floor for f in distinct])
        tables = mask.tables
        self._near: list[Floats] = []
        for level, slots in enumerate(tables.slots):
            sums = self._sums[level].reshape(len(distinct), -1)
            near = np.zeros((len(distinct), tables.children[level].size))
            near[:, slots] = sums
            near = near.reshape(-1, CODES)
            # The root's rows are few, so every request has its own and what is gone is off it.
            self._near.append(near[self.which] if level == 0 else near)
        #: items each request may still emit
        self.left: Ints = np.array([f.allowed for f in filters])
        self._gone = Gone(np.zeros(0, dtype=np.int64), mask.levels)
        if excluded is not None:
            rows = [np.asarray(part, dtype=np.int64).reshape(-1) for part in excluded]
            owners = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
            self._remove(owners, mask.positions(np.concatenate(rows)))

    def __len__(self) -> int:
        return len(self.which)

    def emit(self, owners: npt.ArrayLike, positions: npt.ArrayLike) -> None:
        """Take items off requests. Shapes ``(n,)``; ``SlateError`` if one was not allowed."""
        owner = np.asarray(owners, dtype=np.int64).reshape(-1)
        position = np.asarray(positions, dtype=np.int64).reshape(-1)
        taken = self._remove(owner, position)
        if taken < len(owner):
            raise SlateError(
                f"{len(owner) - taken} of {len(owner)} items are not allowed here "
                "(excluded, or already emitted)."
            )

    def step(self, level: int, owners: npt.ArrayLike, nodes: npt.ArrayLike) -> Step:
        """What may follow these nodes of depth ``level``: ``owners``, ``nodes`` ``(J,)``.

        ``SlateError`` when nothing is open below one of them: a slate is then full, which
        ``left`` says beforehand.
        """
        owner = np.asarray(owners, dtype=np.int64)
        node = np.asarray(nodes, dtype=np.int64)
        if level < len(self._near):
            children = self.mask.tables.children[level]
            at = self.which[owner] * len(children) + node if level else owner
            weights = self._near[level].take(at, axis=0)
            child = children.take(node, axis=0)
        else:
            weights, child = self._spread(level, self.which[owner], node)
        if level or not self._near:
            self._gone.patch(level, owner * (len(self.mask.kids[level]) - 1) + node, weights)
        # One product a row says whether anything is open; weights are never negative.
        if not (weights @ _ONES).all():
            dead = int(np.flatnonzero(weights.sum(axis=1) <= 0)[0])
            raise SlateError(dead_end(f"node {node[dead]} of request {owner[dead]}", level))
        return Step(weights, child)

    def _spread(self, level: int, which: Ints, node: Ints) -> tuple[Floats, Index]:
        """Rows of nodes whose children are not tabled: their ranges, spread out by code."""
        mask = self.mask
        lows = mask.kids[level].take(node)
        sizes = mask.kids[level].take(node + 1) - lows
        at = np.repeat(lows - np.cumsum(sizes) + sizes, sizes)
        at += np.arange(len(at), dtype=at.dtype)
        slot = np.repeat(np.arange(0, len(node) * CODES, CODES), sizes)
        if level == mask.levels - 1:
            slot += mask.keys.take(at).astype(np.uint8)  # the low byte is the last code
            values, place, width = self._values, mask.order.take(at), len(mask)
        else:
            slot += mask.tokens[level].take(at)
            values, place, width = self._sums[level], at, len(mask.tokens[level])
        if len(values) > width:
            place = place + np.repeat(which * width, sizes)
        weights = np.zeros(len(node) * CODES)
        weights[slot] = values.take(place).astype(np.float64, copy=False)
        child = np.full(len(node) * CODES, -1, dtype=np.int32)
        child[slot] = at
        return weights.reshape(-1, CODES), child.reshape(-1, CODES)

    def _remove(self, owner: Ints, position: Ints) -> int:
        """Put allowed items on the list of gone ones; how many were allowed and not there yet."""
        n = len(self.mask)
        value = self._values[self.which[owner] * n + self.mask.order[position]]
        new = np.unique((owner * n + position)[value > 0])
        new = new[~np.isin(new, self._gone.keys)]
        if len(new):
            self._gone = Gone(np.sort(np.concatenate([self._gone.keys, new])), self.mask.levels)
            self.left -= np.bincount(new // n, minlength=len(self))
            for level in range(self.mask.levels):
                self._refresh(level)
        return len(new)

    def _refresh(self, level: int) -> None:
        """What the cells (request, node, code) at this level hold with the gone items off."""
        mask = self.mask
        owner, gone = np.divmod(self._gone.keys, len(mask))
        row = owner * (len(mask.kids[level]) - 1) + mask.path(gone, level)
        code = mask.token(gone, level)
        if level == mask.levels - 1:
            self._gone.put(level, row, code, np.zeros(len(row)))
            return
        # Gone items stand in ID order, so those of one cell are neighbours.
        child = mask.path(gone, level + 1)
        start = _starts(owner * len(mask.tokens[level]) + child)
        which = self.which[owner[start]]
        cell = which * len(mask.tokens[level]) + child[start]
        weight = self._values[self.which[owner] * len(mask) + mask.order[gone]].astype(np.float64)
        left = self._counts[level][cell] - np.diff(np.append(start, len(gone)))
        rest = self._sums[level][cell] - np.add.reduceat(weight, start)
        value = np.where(left > 0, np.maximum(rest, self._floor[which]), 0.0)
        self._gone.put(level, row[start], code[start], value)
        if level == 0 and self._near:
            self._near[0][owner[start], code[start]] = value


class Gone:
    """Items that requests have excluded or emitted, as corrections to rows of weights.

    ``keys``: ``(E,)`` sorted, request * N + place in ``order``.
    """

    def __init__(self, keys: Ints, levels: int) -> None:
        self.keys = keys
        none = np.zeros(0, dtype=np.int64)
        self._rows = [none] * levels  # request * nodes + node, sorted, each once
        self._first = [none] * levels  # where its cells start, closed by their number
        self._codes = [none] * levels
        self._values = [np.zeros(0)] * levels

    def put(self, level: int, rows: Ints, codes: Ints, values: Floats) -> None:
        """The cells of one level, sorted by row; ``values`` are what they hold now."""
        start = _starts(rows)
        self._rows[level] = rows[start]
        self._first[level] = np.append(start, len(rows))
        self._codes[level], self._values[level] = codes, values

    def cells(self, level: int) -> tuple[Ints, Ints, Ints, Floats]:
        """The corrections of one level: rows ``(U,)``, where each one's cells start
        ``(U + 1,)``, their codes and their values ``(C,)``."""
        return self._rows[level], self._first[level], self._codes[level], self._values[level]

    def patch(self, level: int, rows: Ints, weights: Floats) -> None:
        """Write the corrected cells into the rows ``weights`` ``(J, 256)`` of nodes ``rows``."""
        held = self._rows[level]
        if not len(held):
            return
        at = held.searchsorted(rows)
        at[at == len(held)] = 0
        hit = np.flatnonzero(held[at] == rows)
        if not len(hit):
            return
        first = self._first[level][at[hit]]
        sizes = self._first[level][at[hit] + 1] - first
        cell = np.repeat(first - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        slot = np.repeat(hit * CODES, sizes) + self._codes[level][cell]
        weights.reshape(-1)[slot] = self._values[level][cell]


def _starts(sorted_keys: Ints) -> Ints:
    """Where each run of equal keys starts. Shape: ``(runs,)``."""
    return np.flatnonzero(np.r_[True, sorted_keys[1:] != sorted_keys[:-1]])


def _stack(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Side by side, ``(F, n)``; a single one is not copied. Bits beside weights become 0 and 1."""
    return parts[0] if len(parts) == 1 else np.stack(parts)
