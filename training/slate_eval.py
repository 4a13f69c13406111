"""How good a slate model is on held-out prompts: greedy slates, standard metrics.

Greedy, never mixed with sampled slates: the paper's code mixes the two. The retrieval prior's
own order over the same prompts stands beside every figure. ReDial's test split is not read
here (``python -m evals.ranking`` does that, once, for the final table).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from catalog.trie import SlateMask
from training.rl_prompts import Prompts
from training.slate_policy import Dials, sample_groups

CUTS = (5, 10)
RESAMPLES = 2000
BLOCK = 32  # prompts decoded side by side


class Slates(NamedTuple):
    """Ranks of every target of every prompt (-1 where not on the slate), and rows written."""

    ranks: list[list[int]]
    written: int
    valid: int

    def recall(self, k: int) -> npt.NDArray[np.float64]:
        """One value a prompt: the share of its targets within the first k."""
        return np.array([np.mean([0 <= r < k for r in ranks]) for ranks in self.ranks])

    def ndcg(self, k: int) -> npt.NDArray[np.float64]:
        """One value a prompt; the ideal holds all of the prompt's targets."""
        values = []
        for ranks in self.ranks:
            gain = sum(1 / np.log2(r + 2) for r in ranks if 0 <= r < k)
            values.append(gain / sum(1 / np.log2(i + 2) for i in range(min(k, len(ranks)))))
        return np.array(values)

    def figures(self) -> dict[str, float]:
        found = {f"R@{k}": float(self.recall(k).mean()) for k in CUTS}
        found |= {f"NDCG@{k}": float(self.ndcg(k).mean()) for k in CUTS}
        found["valid"] = float(self.valid / max(self.written, 1))
        return {name: round(value, 4) for name, value in found.items()}


def evaluate(
    model: Any,
    prompts: Prompts,
    indices: Sequence[int],
    mask: SlateMask,
    popularity: npt.NDArray[np.float32],
    *,
    sid_base: int,
    n: int = 10,
    alpha: float = 1.0,
) -> Slates:
    """Greedy slates of the prompts ``indices``."""
    training = model.training
    model.eval()
    ranks, written, valid = [], 0, 0
    for start in range(0, len(indices), BLOCK):
        block = [prompts[index] for index in indices[start : start + BLOCK]]
        weights = [prompt.weights(popularity) for prompt in block]
        groups = sample_groups(
            model,
            [prompt.ids.tolist() for prompt in block],
            weights,
            mask,
            n=n,
            rollouts=1,
            sid_base=sid_base,
            generator=np.random.default_rng(0),
            dials=Dials(alpha=alpha, temperature=0.0),
        )
        for prompt, own, (slate,) in zip(block, weights, groups, strict=True):
            place = {row: k for k, row in enumerate(slate.rows)}
            ranks.append([place.get(int(t), -1) for t in prompt.targets])
            written += len(slate.rows)
            valid += sum(own[row] > 0 for row in place)
    model.train(training)
    return Slates(ranks, written, valid)


def prior_slates(prompts: Prompts, indices: Sequence[int], n: int = 10) -> Slates:
    """The prior's own order, as a peer."""
    ranks, written = [], 0
    for index in indices:
        prompt = prompts[index]
        order = prompt.top[np.argsort(-prompt.shares, kind="stable")][:n]
        place = {int(row): k for k, row in enumerate(order)}
        ranks.append([place.get(int(t), -1) for t in prompt.targets])
        written += len(order)
    return Slates(ranks, written, written)


def paired(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], seed: int = 0
) -> tuple[float, float, float]:
    """Mean of ``a - b`` over prompts with its 95 % bootstrap interval."""
    gain = a - b
    draws = np.random.default_rng(seed).integers(0, len(gain), (RESAMPLES, len(gain)))
    low, high = np.quantile(gain[draws].mean(1), (0.025, 0.975))
    return round(float(gain.mean()), 4), round(float(low), 4), round(float(high), 4)
