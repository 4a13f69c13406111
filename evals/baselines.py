"""The cheap baselines that every ranking figure stands beside.

Each is a score an item, from statistics of training and validation only. ``sum`` adds
four of them after bringing each to unit spread over the items; ``ranker`` is the learnt
order of the same candidates that the slate is written from.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tools.feature_index import Features
from tools.features import Floats, Query, Ready

BASELINES = ("popularity", "co-mention", "MiniLM", "neighbours", "sum")
_FEATURE = {
    "popularity": "popularity",
    "co-mention": "co_sum",
    "MiniLM": "text",
    "neighbours": "neighbours",
}


def baseline_scores(features: Features, query: Query, ready: Ready) -> dict[str, Floats]:
    """Scores of every item under each of ``BASELINES``. Shapes ``(N,)``, higher is better.

    Ties (an item never named with these) fall to the more popular one.
    """
    cheap = features.cheap(query, ready)
    tie = 1e-4 * cheap["popularity"]
    scores = {name: cheap[column] + tie for name, column in _FEATURE.items()}
    scores["sum"] = np.sum([_unit(cheap[c]) for c in _FEATURE.values()], axis=0)
    return scores


def best(scores: Floats, forbidden: tuple[int, ...], k: int) -> npt.NDArray[np.int64]:
    """The ``k`` best rows outside ``forbidden``, best first."""
    masked = scores.astype(np.float64).copy()
    masked[list(forbidden)] = -np.inf
    top = np.argpartition(-masked, k)[:k] if k < len(masked) else np.arange(len(masked))
    order: npt.NDArray[np.int64] = top[np.argsort(-masked[top], kind="stable")]
    return order[np.isfinite(masked[order])].astype(np.int64)


def _unit(column: Floats) -> Floats:
    spread = float(column.std())
    return (column - column.mean()) / spread if spread > 0 else np.zeros_like(column)
