"""The loss and its gradient against a slow, literal float64 reference on random inputs."""

import itertools

import numpy as np
import pytest
import torch

from training.rank_loss import Clip, Rollouts, policy_loss


def literal(batch: Rollouts, level: str, normalize: str, clip: Clip, beta: float, longest: int):
    """The formulas of arXiv 2510.20150 as written, one rollout and one rank at a time."""
    rollouts = batch.logps.shape[0]
    total = torch.zeros((), dtype=torch.float64)
    tokens = int(batch.mask.sum())
    for i in range(rollouts):
        kept = [t for t in range(batch.logps.shape[1]) if batch.mask[i, t]]
        for k in sorted({int(batch.rank_ids[i, t]) for t in kept}):
            mine = [t for t in kept if int(batch.rank_ids[i, t]) == k]
            known = k < batch.advantages.shape[1]
            advantage = batch.advantages[i, k] if known else torch.zeros(())
            for t in mine:
                over = {"rank": mine, "token": [t], "sequence": kept}[level]
                logs = [
                    batch.logps[i, s]
                    - (batch.logps[i, s].detach() if batch.old is None else batch.old[i, s])
                    for s in over
                ]
                ratio = torch.exp(sum(logs) / len(logs))
                bounded = torch.clamp(ratio, 1 - clip.low, 1 + clip.high)
                value = torch.min(ratio * advantage, bounded * advantage)
                if batch.ref is not None:
                    gap = batch.ref[i, t] - batch.logps[i, t]
                    value = value - beta * (torch.exp(gap) - gap - 1)
                if normalize == "rank":
                    total = total + value / (rollouts * int(batch.ranks[i]) * len(mine))
                elif normalize == "token":
                    total = total + value / tokens
                else:
                    total = total + value / (rollouts * longest)
    return -total


def drawn(seed: int, *, old: bool, ref: bool) -> Rollouts:
    """Ragged rollouts: ranks of 1 to 4 tokens, padding, an overflow rank without advantage."""
    rng = np.random.default_rng(seed)
    rows, tokens, ranks = 5, 13, 4
    ids = np.sort(rng.integers(0, ranks + 1, (rows, tokens)), axis=1)
    mask = np.arange(tokens) < rng.integers(4, tokens + 1, rows)[:, None]
    logps = torch.tensor(-rng.exponential(1.0, (rows, tokens)), requires_grad=True)

    def near(spread: float) -> torch.Tensor:
        return logps.detach() + torch.tensor(rng.normal(0, spread, (rows, tokens)))

    return Rollouts(
        logps,
        near(0.1) if old else None,
        near(0.3) if ref else None,
        torch.tensor(ids),
        torch.tensor(mask),
        torch.tensor(rng.normal(size=(rows, ranks))),
        torch.tensor(rng.integers(2, ranks + 1, rows)),
    )


@pytest.mark.parametrize(
    ("level", "normalize"),
    list(itertools.product(("rank", "token", "sequence"), ("rank", "token", "dr_grpo"))),
)
@pytest.mark.parametrize("old", [True, False])
def test_loss_and_gradient_agree_with_the_literal_reference(
    level: str, normalize: str, old: bool
) -> None:
    clip, beta = Clip(0.06, 0.08), 0.05
    for seed in range(6):
        batch = drawn(seed, old=old, ref=seed % 2 == 0)
        ours = policy_loss(
            batch, level=level, normalize=normalize, clip=clip, beta=beta, longest=20
        ).loss
        (ours_gradient,) = torch.autograd.grad(ours, batch.logps)
        theirs = literal(batch, level, normalize, clip, beta, 20)
        (gradient,) = torch.autograd.grad(theirs, batch.logps)
        assert torch.allclose(ours, theirs, atol=1e-12)
        assert torch.allclose(ours_gradient, gradient, atol=1e-12)


def test_a_long_title_weighs_no_more_than_a_short_one_unless_token_mean_is_chosen() -> None:
    """The reference code's token mean gives long titles more weight than the objective says."""
    ids = torch.tensor([[0, 1, 1, 1, 1, 1]])
    logps = torch.full((1, 6), -1.0, dtype=torch.float64, requires_grad=True)
    batch = Rollouts(
        logps,
        None,
        None,
        ids,
        torch.ones(1, 6, dtype=torch.bool),
        torch.tensor([[1.0, 1.0]]),
        torch.tensor([2]),
    )
    by_rank, by_token = (
        torch.autograd.grad(policy_loss(batch, normalize=how, beta=0).loss, logps)[0][0]
        for how in ("rank", "token")
    )
    assert by_rank[0] == pytest.approx(by_rank[1:].sum().item())
    assert by_token[1:].sum() == pytest.approx(5 * by_token[0].item())


def test_on_policy_the_sequence_ratio_has_the_gradient_of_the_token_ratio() -> None:
    """With old = new every ratio is 1, and GSPO's gradient is GRPO's where all advantages of a
    rollout are equal: the reason why GSPO is a side arm at more than one iteration only."""
    batch = drawn(3, old=False, ref=False)
    same = batch._replace(advantages=batch.advantages[:, :1].expand(-1, 5).contiguous())
    gradients = [
        torch.autograd.grad(
            policy_loss(same, level=level, normalize="dr_grpo", beta=0, longest=13).loss,
            batch.logps,
        )[0].sum(1)
        for level in ("token", "sequence")
    ]
    assert torch.allclose(gradients[0], gradients[1], atol=1e-12)


def test_padding_has_no_gradient() -> None:
    batch = drawn(1, old=True, ref=True)
    (gradient,) = torch.autograd.grad(policy_loss(batch).loss, batch.logps)
    assert (gradient[~batch.mask] == 0).all()
    assert (gradient[batch.mask] != 0).any()
