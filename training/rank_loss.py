"""The policy loss of Rank-GRPO and of its sequence and token arms, as one pure function.

Per rollout i and rank k the importance ratio is the geometric mean over the rank's tokens,
``w = exp(mean(log pi - log pi_old))``, the objective ``min(w A, clip(w) A)``, averaged over
ranks and rollouts; the KL to the reference (k3 estimator) is averaged within a rank too.
Source: arXiv 2510.20150. ``level`` and ``normalize`` choose the variants that the ladder
compares; all of them read the same tensors, so an arm differs in one word.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Level = Literal["rank", "token", "sequence"]
Normalize = Literal["rank", "token", "dr_grpo"]


class Rollouts(NamedTuple):
    """A batch of rollouts. B rollouts, T tokens, R ranks.

    ``logps`` (B, T): log-probabilities under the policy, with gradient. ``old``: under the
    policy that sampled (None: the same). ``ref``: under the reference (None: no KL).
    ``rank_ids`` (B, T) int64, ``mask`` (B, T) bool: tokens that count. ``advantages``
    (B, R). ``ranks`` (B,): N of each rollout, smaller where fewer items were allowed.
    """

    logps: Tensor
    old: Tensor | None
    ref: Tensor | None
    rank_ids: Tensor
    mask: Tensor
    advantages: Tensor
    ranks: Tensor


class Loss(NamedTuple):
    """``loss``: scalar with gradient. The others are detached figures for the log."""

    loss: Tensor
    kl: Tensor
    clipped: Tensor


class Clip(NamedTuple):
    low: float = 0.06
    high: float = 0.08


def policy_loss(
    batch: Rollouts,
    *,
    level: Level = "rank",
    normalize: Normalize = "rank",
    clip: Clip | None = None,
    beta: float = 1e-3,
    longest: int | None = None,
) -> Loss:
    """Minus the objective, averaged over rollouts.

    ``level``: over which tokens the ratio is averaged: those of the rank (Rank-GRPO), each
    alone (GRPO), all of the rollout (GSPO). ``normalize``: "rank", mean over the N ranks,
    mean within a rank (the objective as written); "token", mean over all tokens of the
    batch (long titles then weigh more); "dr_grpo", sum over tokens divided by
    ``longest``, a constant. Padding never counts.
    """
    clip = clip or Clip()
    mask = batch.mask.to(batch.logps.dtype)
    old = batch.logps.detach() if batch.old is None else batch.old
    difference = (batch.logps - old) * mask
    slots = max(batch.advantages.shape[1], int(batch.rank_ids.max()) + 1)
    member = _members(batch.rank_ids, mask, slots)  # (B, T, R)
    size = member.sum(1)  # tokens a rank
    advantage = torch.nn.functional.pad(
        batch.advantages.to(mask.dtype), (0, slots - batch.advantages.shape[1])
    ).gather(1, batch.rank_ids)  # (B, T)
    ratio = torch.exp(_averaged(difference, member, size, mask, batch.rank_ids, level))
    bounded = ratio.clamp(1 - clip.low, 1 + clip.high)
    objective = torch.minimum(ratio * advantage, bounded * advantage)
    kl = torch.zeros_like(objective)
    if batch.ref is not None:
        gap = (batch.ref - batch.logps) * mask
        kl = torch.exp(gap) - gap - 1
    weights = _weights(member, size, mask, batch, normalize, longest)
    total = ((objective - beta * kl) * weights).sum()
    outside = (ratio < 1 - clip.low) & (advantage < 0) | (ratio > 1 + clip.high) & (advantage > 0)
    tokens = mask.sum().clamp(min=1)
    return Loss(
        -total,
        ((kl * mask).sum() / tokens).detach(),
        ((outside * mask).sum() / tokens).detach(),
    )


def _members(rank_ids: Tensor, mask: Tensor, ranks: int) -> Tensor:
    return torch.nn.functional.one_hot(rank_ids, ranks).to(mask.dtype) * mask[..., None]


def _averaged(
    difference: Tensor, member: Tensor, size: Tensor, mask: Tensor, rank_ids: Tensor, level: Level
) -> Tensor:
    """The log-ratio that each token stands under. Shape: ``(B, T)``."""
    if level == "token":
        return difference
    if level == "sequence":
        mean = difference.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
        return mean.expand_as(difference)
    means = torch.einsum("bt,btr->br", difference, member) / size.clamp(min=1)
    return means.gather(1, rank_ids)


def _weights(
    member: Tensor,
    size: Tensor,
    mask: Tensor,
    batch: Rollouts,
    normalize: Normalize,
    longest: int | None,
) -> Tensor:
    """Each token's share of the loss. Shape: ``(B, T)``."""
    rollouts = len(mask)
    if normalize == "token":
        return mask / mask.sum().clamp(min=1)
    if normalize == "dr_grpo":
        return mask / (rollouts * (longest or mask.shape[1]))
    within = (member / size.clamp(min=1)[:, None, :]).sum(2)  # 1 / |y_k|
    shares: Tensor = within / (rollouts * batch.ranks.to(mask.dtype)[:, None])
    return shares
