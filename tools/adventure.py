"""The dial from the usual to the unexpected: one level from 0 to 1, three effects.

* the prior is tempered, so that the first candidate leads by less;
* what many people know is discounted by how many do;
* the slate is spread by maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998):
  the candidates are thinned to good ones that are unlike each other, the model writes a
  somewhat longer slate, and the same rule picks from it.

Only weights and choices among the allowed change; what is forbidden stays so. Level 0 is
no step at all: the slate is the one that would have been without this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from tools.candidates import Prior
from tools.features import Floats

TEMPER: Final = 0.5  # the prior is raised to the power 1 - TEMPER at level 1
DISCOUNT: Final = 0.5  # ... and divided by popularity to this power
LONGER: Final = 1.0  # the model writes 1 + LONGER times as many items at level 1
UNLIKE: Final = 0.85  # share of unlikeness against rank at level 1
POOL: Final = 200  # candidates that are thinned ...
POSITIONS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
UNLIKENESS: Final = (0.0, 0.56, 0.71, 0.86, 1.0)  # strengths at these positions ...
OBSCURITY: Final = (0.0, 0.4, 0.62, 0.8, 1.0)  # ... so that equal steps are seen as such
THIN: Final = 4  # ... to this many times the slate at level 1


def felt(level: float, strengths: Sequence[float] = UNLIKENESS) -> float:
    """The strength at a position of the dial: equal steps of it are to be equal steps of what is
    seen, and the plain strengths are not (docs/results/diversity.md)."""
    return float(np.interp(level, POSITIONS, strengths))


def loosened(prior: Prior, popularity: Floats, level: float) -> Prior:
    """The prior at a level. ``popularity``: ``(N,)``, how many people talk of each item.

    Candidates and the rest of the catalogue keep their shares: tempered together, the many
    that are hardly likely would outweigh the few that fit.
    """
    level = felt(level, OBSCURITY)
    if level <= 0 or not len(prior.top):
        return prior
    known = (1.0 + np.maximum(popularity, 0)).astype(np.float64) ** (-DISCOUNT * level)
    weights = prior.weights * known
    weights[prior.top] = prior.weights[prior.top] ** (1 - TEMPER * level) * known[prior.top]
    listed = np.zeros(len(weights), dtype=np.bool_)
    listed[prior.top] = True
    for part in (listed, ~listed):
        total, was = weights[part].sum(), prior.weights[part].sum()
        weights[part] *= was / total if total > 0 else 0.0
    return prior.ranked(weights)


def thinned(prior: Prior, vectors: Floats, n: int, level: float) -> Prior:
    """The prior with the candidates that are too much like better ones taken out.

    Of the best ``POOL`` as many stay as the level asks, at least ``THIN`` times ``n``.
    """
    if level <= 0:
        return prior
    strength, pool = felt(level), prior.top[:POOL]
    kept = round(len(pool) * (THIN * n / max(len(pool), 1)) ** strength)
    if kept >= len(pool):
        return prior
    stay = spread(pool.tolist(), vectors, max(kept, n), level)
    gone = np.setdiff1d(prior.top, np.array(stay, dtype=np.int64))
    weights = prior.weights.copy()
    share = weights[prior.top].sum()
    weights[gone] = 0.0
    weights[stay] *= share / weights[stay].sum()
    left = np.isin(prior.top, stay)
    return prior._replace(
        weights=weights,
        top=prior.top[left],
        features=prior.features[left],
        requests=prior.requests[left],
    )


def longer(n: int, level: float) -> int:
    """How many items the model is to write so that ``n`` can be picked."""
    return n + round(n * LONGER * felt(level))


def spread(rows: Sequence[int], vectors: Floats, n: int, level: float) -> list[int]:
    """``n`` of ``rows`` (best first), each good and unlike those before it.

    ``vectors``: ``(N, d)`` unit rows of the catalogue. The first row always stays first.
    """
    if level <= 0 or len(rows) <= 1:
        return list(rows[:n])
    share = UNLIKE * felt(level) ** (1 / 3)  # felt at once: the discount alone brings like to like
    table = vectors[list(rows)]
    rank = 1 - np.arange(len(rows)) / len(rows)
    chosen, open_ = [0], np.ones(len(rows), dtype=np.bool_)
    nearest = np.full(len(rows), -np.inf)
    while len(chosen) < min(n, len(rows)):
        open_[chosen[-1]] = False
        nearest = np.maximum(nearest, table @ table[chosen[-1]])
        score = np.where(open_, (1 - share) * rank - share * nearest, -np.inf)
        chosen.append(int(np.argmax(score)))
    return [rows[k] for k in chosen]
