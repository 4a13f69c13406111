"""Rewards of a slate, rank by rank: pure functions over arrays.

Source of the formulas: "Rank-GRPO" (arXiv 2510.20150). Shapes: P prompts, G rollouts a
prompt, R ranks (R >= N where a rollout wrote more than N items). Ranks are 0-based here,
so the discount of rank k is ``1 / log2(k + 2)``.

    relevance = np.stack([relevant(s.items, targets, n) for s in rollouts])      # (G, R)
    returns = with_penalties(rank_returns(relevance, "exp_inf"), rollouts, n)    # (G, R)
    advantages = rank_advantages(returns[None], "rank")                          # (1, G, R)
"""

import re
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from catalog.errors import ParleyError
from training.slate_segments import Segments

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Scale = Literal["rank", "batch", "none"]
Same = Callable[[Hashable, Hashable], bool]

#: What stopping early and each surplus item cost; the paper found other values no different.
PENALTY: Final = -0.1
#: Keeps the division by a group's deviation finite (the paper's and TRL's value).
TINY: Final = 1e-4


class RewardError(ParleyError):
    """An option of the rewards that does not exist, with those that do."""


def relevant(
    items: Sequence[Hashable | None],
    targets: Collection[Hashable],
    ranks: int,
    same: Same | None = None,
) -> Floats:
    """1 where a target stands for the first time, else 0. Shape: ``(ranks,)``.

    ``same`` compares an item with a target (titles: within two years); equality by default.
    A target counts once, so a repeat earns nothing.
    """
    found = np.zeros(ranks)
    left = list(targets)
    for rank, item in enumerate(items[:ranks]):
        if item is None:
            continue
        hit = next((t for t in left if (item == t if same is None else same(item, t))), None)
        if hit is not None:
            left.remove(hit)
            found[rank] = 1.0
    return found


def rank_returns(relevance: Floats, form: str) -> Floats:
    """What each rank is credited with. Shape: that of ``relevance``, ``(..., R)``.

    ``form``: "log", sum over j >= k of rel_j / log2(j + 1), ranks from 1; "exp_<gamma>"
    (exp_2), sum over j >= k of rel_j / gamma^(j - k); "exp_inf", rel_k alone; "window_<w>"
    (window_3, ours), sum over k <= j < k + w. Raises ``RewardError`` for another form.
    """
    rel = np.asarray(relevance, dtype=np.float64)
    ranks = rel.shape[-1]
    if form == "exp_inf":
        return rel.copy()
    if form == "log":
        return _suffix_sums(rel * discounts(ranks))
    gamma = re.fullmatch(r"exp_(\d+(?:\.\d+)?)", form)
    if gamma and float(gamma[1]) >= 1:
        out = rel.copy()
        for k in range(ranks - 2, -1, -1):
            out[..., k] += out[..., k + 1] / float(gamma[1])
        return out
    window = re.fullmatch(r"window_([1-9]\d*)", form)
    if window:
        sums = np.concatenate([_suffix_sums(rel), np.zeros_like(rel[..., :1])], axis=-1)
        later = np.minimum(np.arange(ranks) + int(window[1]), ranks)
        windowed: Floats = sums[..., :-1] - sums[..., later]
        return windowed
    raise RewardError(
        f"The return form {form!r} does not exist: choose log, exp_inf, exp_GAMMA with "
        "GAMMA >= 1 (exp_2), or window_W (window_3)."
    )


def discounts(ranks: int) -> Floats:
    """DCG's ``1 / log2(rank + 1)`` for ranks from 1. Shape: ``(ranks,)``."""
    return np.asarray(1.0 / np.log2(np.arange(ranks) + 2.0))


def dcg(relevance: Floats, n: int) -> Floats:
    """DCG@n, the scalar reward of the sequence arms. Shape: ``(...)``.

    Not the sum of rank returns: summed exp_inf is a bare hit count, and summed log returns
    weigh late ranks by their number; either would weaken the sequence arm unfairly.
    """
    total: Floats = (np.asarray(relevance)[..., :n] * discounts(relevance.shape[-1])[:n]).sum(-1)
    return total


def with_penalties(returns: Floats, rollouts: Sequence[Segments], n: int) -> Floats:
    """``(G, R)`` returns with the penalty at a premature end and at every surplus item."""
    out = np.asarray(returns, dtype=np.float64).copy()
    for row, rollout in zip(out, rollouts, strict=True):
        if rollout.premature and len(rollout.items) < len(row):
            row[len(rollout.items)] = PENALTY
        row[n : len(rollout.items)] = PENALTY
    return out


def reachable(relevance: Floats, targets: npt.NDArray[np.int64]) -> Bools:
    """Cells at which a rollout could still hit. Shape: that of ``relevance``, ``(P, G, R)``.

    ``targets``: ``(P,)``, how many each prompt has. Past its last target a rollout can only
    score 0, which is no fault: ``rank_advantages(..., reachable)`` leaves such cells out.
    """
    before = np.cumsum(relevance, axis=-1) - relevance
    open_: Bools = before < np.asarray(targets)[:, None, None]
    return open_


def hard_negatives(relevance: Floats, logprobs: Floats, weight: float = 1.0) -> Floats:
    """Relevance with wrong items below 0 by their own likelihood in the group (ReRe-style).

    ``logprobs``: mean token log-probability of each item, ``(P, G, R)``. Of the wrong items
    at one rank each gets ``-weight`` times its share of their probability, so that the most
    confident mistake costs most; a fixed penalty would be undone by the per-rank deviation.
    """
    wrong = relevance <= 0
    likely = np.where(wrong, np.exp(logprobs - logprobs.max(axis=1, keepdims=True)), 0.0)
    total = likely.sum(axis=1, keepdims=True)
    share = np.divide(likely, total, out=np.zeros_like(likely), where=total > 0)
    return np.where(wrong, -weight * share, relevance)


def rank_advantages(returns: Floats, scale: Scale, counts: Bools | None = None) -> Floats:
    """Returns compared with the same rank of the group's other rollouts. ``(P, G, R)``.

    ``scale``: "rank" divides by the group's deviation at that rank (the paper), "batch" by
    that of all centred returns, "none" not at all (sparse ranks then keep their small
    weight). ``counts``: cells that enter mean and deviation; the others get advantage 0.
    The deviation is the sample's (n - 1), as in TRL.
    """
    cells = np.ones(returns.shape, dtype=bool) if counts is None else counts
    number = cells.sum(axis=1, keepdims=True)
    mean = np.where(cells, returns, 0).sum(axis=1, keepdims=True) / np.maximum(number, 1)
    centred = np.where(cells, returns - mean, 0.0)
    if scale == "none":
        return centred
    if scale == "batch":
        held = centred[cells]
        return np.asarray(centred / ((held.std(ddof=1) if held.size > 1 else 0.0) + TINY))
    if scale != "rank":
        raise RewardError(f"The scale {scale!r} does not exist: choose rank, batch or none.")
    variance = (centred**2).sum(axis=1, keepdims=True) / np.maximum(number - 1, 1)
    return np.asarray(centred / (np.sqrt(variance) + TINY))


def sequence_advantages(rewards: Floats, scale: Scale) -> Floats:
    """The GRPO arm: one advantage a rollout from its scalar reward. ``(P, G)``."""
    return rank_advantages(rewards[:, :, None], scale)[:, :, 0]


def combine(
    rewards: Sequence[Floats], weights: Sequence[float], scale: Scale, normalise_each: bool
) -> Floats:
    """Advantages of several rewards, each ``(P, G, R)``.

    ``normalise_each`` compares each reward within its group before summing, so that a
    reward with a large range does not drown the others; else they are summed first.
    """
    if normalise_each:
        parts = [w * rank_advantages(r, scale) for r, w in zip(rewards, weights, strict=True)]
        return np.sum(parts, axis=0)
    return rank_advantages(
        np.sum([w * r for r, w in zip(rewards, weights, strict=True)], axis=0), scale
    )


def zero_deviation(returns: Floats) -> float:
    """Share of (prompt, rank) groups in which all rollouts earned the same: no signal."""
    return float((np.ptp(returns, axis=1) == 0).mean())


def _suffix_sums(values: Floats) -> Floats:
    return np.asarray(np.flip(np.cumsum(np.flip(values, -1), axis=-1), -1))
