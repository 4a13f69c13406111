"""EASE: which items go together once what each shares with every other is taken out.

A linear model in closed form over conversations (Steck, WWW 2019): each item is regressed on all
others with a ridge, so "named with everything popular" stops counting as kinship, which
co-mention shares cannot tell apart. ``P = (X'X + ridge I)^-1``, ``B = I - P diag(P)^-1``; a
conversation's score of an item is the sum of ``B`` over what it names.

Leaving one conversation out is exact and cheap (a rank-one change of P), so training never reads
an answer off its own inputs. Only items named twice are known, at most ``MOST`` of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tools.features import Floats, Rows

RIDGE: Final = 300.0
MIN_NAMED: Final = 2
MOST: Final = 3000  #: the inverse takes 0.3 s at 1,400 items, three at 3,000


class Ease(NamedTuple):
    """``place`` (N,): an item's place in ``inverse`` (M, M), -1 where it is unknown."""

    place: npt.NDArray[np.int64]
    inverse: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, items: sp.csr_matrix, ridge: float = RIDGE) -> Ease:
        """``items``: (conversations, N), 1 where one names an item. May know no item at all."""
        counts = np.asarray(items.sum(axis=0)).ravel()
        known = np.flatnonzero(counts >= MIN_NAMED)
        if len(known) > MOST:
            known = np.sort(known[np.argsort(-counts[known], kind="stable")[:MOST]])
        held = items[:, known].astype(np.float64)
        gram = np.asarray((held.T @ held).todense())
        place = np.full(items.shape[1], -1, dtype=np.int64)
        place[known] = np.arange(len(known))
        regular = gram + ridge * np.eye(len(known))
        inverse = np.asarray(np.linalg.inv(regular), dtype=np.float64)
        return cls(place, inverse)

    def scores(self, named: Sequence[int] | Rows, own: Sequence[int] = ()) -> Floats:
        """How well every item goes with what is named. Shape: ``(N,)``, 0 where unknown.

        ``own``: the items of one of the fitted conversations, which is then left out. What is
        named itself scores nothing sensible: it is never recommended.
        """
        out = np.zeros(len(self.place), np.float32)
        said = self._known(named)
        if not len(said):
            return out
        rows, diagonal = self.inverse[said].sum(0), self.inverse.diagonal()
        left = self._known(own)
        if len(left):
            change = self.inverse[left].sum(0)  # P x
            scale = 1.0 / (1.0 - change[left].sum())
            rows = rows + change[said].sum() * change * scale
            diagonal = diagonal + change * change * scale
        held = self.place >= 0
        out[held] = (-rows / diagonal)[self.place[held]]
        return out

    def _known(self, rows: Sequence[int] | Rows) -> npt.NDArray[np.int64]:
        found = self.place[np.asarray(rows, dtype=np.int64)]
        return found[found >= 0]
