"""One request's mask, walked token by token: what may come next, and how much lies behind it.

Constraints that many requests share are summed over the trie once (``catalog.trie_filter``);
what is a request's own, the few hundred weights of its prior, what it excludes and what its
slate has emitted, is a short list of corrections sorted by place. A node's weight is the
shared sum plus the corrections inside it, so a request costs nothing that grows with the
catalogue. The numbers are those of in-process decoding (``tools.slate_decoder``).

``Walk`` reads a request's tokens from where its slate begins. It holds no other state, so a
server that preempts, replays or beams over requests gets the same mask again.

    walk = Walk(view, n, first_sid_token)
    walk.read(tokens)                  # all that was written so far
    codes, weights = walk.open()       # None when the slate is full
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from catalog.trie import SlateMask
from catalog.trie_filter import Filter

CODES: Final = 256
WRITTEN: Final = 3  #: levels that are tokens of the model

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


class View:
    """Weights of one request over a mask. Immutable; ``Walk`` adds what its slate emitted.

    ``at``: places (in ID order) whose weight is not ``scale`` times the shared one, sorted;
    ``own``: their weights, 0 for items that are off.
    """

    def __init__(
        self,
        mask: SlateMask,
        base: Filter,
        scale: float,
        alpha: float,
        rows: Ints,
        weights: Floats,
        off: Ints,
    ) -> None:
        """``rows``, ``weights``: items with a weight of their own; one that ``base`` forbids
        stays forbidden. ``off``: rows that are forbidden besides. ``scale`` 0: no others."""
        self.mask, self.base, self.scale, self.alpha = mask, base, scale, alpha
        held = dict(zip(rows.tolist(), weights.tolist(), strict=True)) | dict.fromkeys(
            off.tolist(), 0.0
        )
        own = np.array(list(held), dtype=np.int64)
        places = mask.positions(own)
        order = np.argsort(places)
        self.at: Ints = places[order]
        shared = base.values[own[order]].astype(np.float64)
        self.own: Floats = np.where(shared > 0, np.array(list(held.values()))[order], 0.0)
        self.more, self.fewer = corrections(self.own, shared, scale)
        total = scale * base.total + float(self.more.sum())
        #: a sum that leaves items open is at least this, whatever rounding left of it
        self.floor = max(total * 1e-13, float(np.finfo(np.float64).tiny))
        self.left = (base.allowed if scale > 0 else 0) + int(self.fewer.sum())


def corrections(own: Floats, shared: Floats, scale: float) -> tuple[Floats, Ints]:
    """What to add to the shared weight and to the shared count at each corrected place."""
    counted = (shared > 0) & (scale > 0)
    return own - scale * shared, (own > 0).astype(np.int64) - counted


class Walk:
    """A slate being written under a view. ``n``: items wanted; ``base``: the first code's id."""

    def __init__(self, view: View, n: int, base: int, head: Sequence[int] = ()) -> None:
        """``head``: tokens of the slate that stand in the prompt already (a beam's past)."""
        self.view, self.n, self.base, self.head = view, n, base, head
        self.strength = 1.0  #: what the model's logits are multiplied with
        self.written = min(WRITTEN, view.mask.levels)
        self._begin()

    def _begin(self) -> None:
        view = self.view
        self.rows: list[int] = []  #: catalogue rows of the finished items
        self.left = view.left
        self.level, self.node = 0, 0
        self.lost = False  #: a token came that was not allowed
        self._at, self._more, self._fewer = view.at, view.more, view.fewer
        self._read = 0
        self._step: tuple[Codes, Floats, int] | None = None
        for token in self.head:
            self._take(int(token))

    @property
    def full(self) -> bool:
        """Whether the slate is over: long enough, nothing left, or off the rails."""
        return self.lost or (self.level == 0 and (len(self.rows) >= self.n or self.left <= 0))

    def read(self, tokens: Sequence[int]) -> None:
        """Take in the tokens written so far; those read last time are not read again.

        Fewer than last time, as after a preemption, starts anew.
        """
        if len(tokens) < self._read:
            self._begin()
        for token in tokens[self._read :]:
            if token < 0:  # a place that vLLM's asynchronous scheduling fills in later
                break
            self._take(int(token))
            self._read += 1

    def open(self) -> tuple[Codes, Floats] | None:
        """Codes of the node reached and the weight behind each, ``(c,)``, 0 where it is closed;
        None when the slate is full."""
        if self.full:
            return None
        codes, weights, _ = self._children()
        return (codes, weights) if weights.any() else None

    def _children(self) -> tuple[Codes, Floats, int]:
        """Codes, weights (0 where closed) and the first child's number, of the node reached."""
        if self._step is not None:
            return self._step
        view, level = self.view, self.level
        mask, base = view.mask, view.base
        first, end = mask.kids[level][self.node : self.node + 2].tolist()
        last = level == mask.levels - 1
        if last:
            codes: Codes = mask.keys[first:end].astype(np.uint8)
            weights = base.values[mask.order[first:end]].astype(np.float64)
            weights *= view.scale
            low, high = first, end
            counts: npt.NDArray[Any] = weights > 0
        else:
            codes = mask.tokens[level][first:end]
            weights = base.sums[level][first:end] * view.scale
            low, high = int(mask.firsts[level][first]), int(mask.firsts[level][end])
            counts = base.counts[level][first:end]
        a, b = self._at.searchsorted((low, high)).tolist()
        if b > a:
            inside = self._at[a:b]
            if last:
                child = inside - first
            else:
                child = mask.firsts[level][first:end].searchsorted(inside, side="right") - 1
            weights += np.bincount(child, self._more[a:b], len(codes))
            left = np.bincount(child, self._fewer[a:b], len(codes))
            if view.scale > 0:
                left += counts
            # Whether a child is open is decided on counts: rounding can neither close nor open.
            weights = np.where(left > 0, np.maximum(weights, view.floor), 0.0)
        self._step = codes, weights, first
        return self._step

    def _take(self, token: int) -> None:
        """One more token."""
        if self.full:
            self.lost = True
            return
        codes, weights, first = self._children()
        code = token - self.base - CODES * self.level
        if not 0 <= code < CODES:
            self.lost = True
            return
        at = int(codes.searchsorted(np.uint8(code)))
        if at == len(codes) or codes[at] != code or weights[at] <= 0:
            self.lost = True
            return
        self.level, self.node, self._step = self.level + 1, first + at, None
        if self.level == self.written:
            self._emit()

    def _emit(self) -> None:
        """An item is written; a last code that only tells twins apart is the prior's choice."""
        mask = self.view.mask
        while self.level < mask.levels:
            _, weights, first = self._children()
            best = weights if self.view.alpha else weights > 0
            self.level, self.node, self._step = self.level + 1, first + int(best.argmax()), None
        place = self.node
        row = int(mask.order[place])
        shared = np.array([float(self.view.base.values[row])])
        more, fewer = corrections(np.zeros(1), shared, self.view.scale)
        at = int(self._at.searchsorted(place))
        if at < len(self._at) and self._at[at] == place:
            self._more, self._fewer = self._more.copy(), self._fewer.copy()
            self._more[at], self._fewer[at] = more[0], fewer[0]
        else:
            self._at = np.insert(self._at, at, place)
            self._more = np.insert(self._more, at, more[0])
            self._fewer = np.insert(self._fewer, at, fewer[0])
        self.rows.append(row)
        self.left -= 1
        self.level, self.node, self._step = 0, 0, None
