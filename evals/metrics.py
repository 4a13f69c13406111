"""Ranking metrics and paired bootstrap intervals: pure functions over arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CUTS = (1, 5, 10, 20, 50)
NDCG_CUTS = (10, 20)
RESAMPLES = 2000


class Ranked(NamedTuple):
    """What one ranker did with one turn: 0-based rank of each target, -1 where not listed."""

    ranks: tuple[int, ...]

    def hits(self, k: int) -> int:
        return sum(0 <= rank < k for rank in self.ranks)

    def ndcg(self, k: int) -> float:
        """DCG@k over the ideal that holds every target of the turn (Järvelin 2002)."""
        gain = sum(1 / np.log2(rank + 2) for rank in self.ranks if 0 <= rank < k)
        ideal = sum(1 / np.log2(place + 2) for place in range(min(k, len(self.ranks))))
        return float(gain / ideal) if ideal else 0.0


class Interval(NamedTuple):
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def ranks_of(order: Sequence[int] | npt.NDArray[np.int64], targets: Sequence[int | None]) -> Ranked:
    """Ranks of ``targets`` (rows; None for one the catalogue lacks) in ``order``."""
    place = {int(row): rank for rank, row in enumerate(order)}
    return Ranked(tuple(-1 if t is None else place.get(t, -1) for t in targets))


def recall(ranked: Sequence[Ranked], k: int) -> float:
    """Share of all (turn, target) pairs within the first ``k``."""
    pairs = sum(len(r.ranks) for r in ranked)
    return sum(r.hits(k) for r in ranked) / pairs if pairs else 0.0


def ndcg(ranked: Sequence[Ranked], k: int) -> float:
    """Mean over turns."""
    return float(np.mean([r.ndcg(k) for r in ranked])) if ranked else 0.0


def paired_recall(
    a: Sequence[Ranked], b: Sequence[Ranked], k: int, groups: Sequence[str], seed: int = 0
) -> Interval:
    """Recall@k of ``a`` minus ``b`` on the same turns; conversations are resampled whole."""
    gain = np.array([x.hits(k) - y.hits(k) for x, y in zip(a, b, strict=True)], dtype=np.float64)
    size = np.array([len(x.ranks) for x in a], dtype=np.float64)
    return _interval(gain, size, groups, seed)


def recall_interval(a: Sequence[Ranked], k: int, groups: Sequence[str], seed: int = 0) -> Interval:
    """Recall@k with its interval; conversations are resampled whole."""
    hits = np.array([x.hits(k) for x in a], dtype=np.float64)
    size = np.array([len(x.ranks) for x in a], dtype=np.float64)
    return _interval(hits, size, groups, seed)


def paired_ndcg(
    a: Sequence[Ranked], b: Sequence[Ranked], k: int, groups: Sequence[str], seed: int = 0
) -> Interval:
    """NDCG@k of ``a`` minus ``b``, mean over turns; conversations are resampled whole."""
    gain = np.array([x.ndcg(k) - y.ndcg(k) for x, y in zip(a, b, strict=True)])
    return _interval(gain, np.ones(len(gain)), groups, seed)


def _interval(
    values: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.float64],
    groups: Sequence[str],
    seed: int,
) -> Interval:
    """Ratio of sums, with groups drawn with replacement."""
    if not len(groups):
        return Interval(0.0, 0.0, 0.0)
    low, high = np.quantile(resampled(values, sizes, groups, seed), (0.025, 0.975))
    return Interval(float(values.sum() / sizes.sum()), float(low), float(high))


def resampled(
    values: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.float64],
    groups: Sequence[str],
    seed: int,
) -> npt.NDArray[np.float64]:
    """Sum of values over sum of sizes, ``(RESAMPLES,)``, groups drawn with replacement."""
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    n = int(group.max()) + 1
    value, size = np.bincount(group, values, n), np.bincount(group, sizes, n)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    ratios: npt.NDArray[np.float64] = (draws @ value) / (draws @ size)
    return ratios
