"""The trainer on a tiny model and an invented catalogue: what is sampled is what is learnt.

What needs trl (requirements/train.txt) is marked slow: `make test-slow` installs it.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from catalog.trie import SlateMask
from tests.tiny_lm import tiny_model, tiny_tokenizer
from tools.tokens import SID_TOKENS
from training.rl_prompts import Prompt, Prompts, PromptsError
from training.slate_policy import Dials, sample, sample_groups, score, sliced

ITEMS = 40


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def mask() -> SlateMask:
    rng = np.random.default_rng(0)
    codes = {tuple(row) for row in rng.integers(0, 6, (200, 3)).tolist()}
    return SlateMask(np.array(sorted(codes)[:ITEMS]))


def prompts(count: int = 6) -> Prompts:
    rng = np.random.default_rng(1)
    made = []
    for k in range(count):
        order = rng.permutation(ITEMS)
        top, gone = np.sort(order[:30]), order[30:33]
        made.append(
            Prompt(
                rng.integers(0, 200, 5 + k),
                top,
                np.full(30, 1 / 30),
                gone,
                top[:2],
                np.zeros(4, np.float32),
                0.05,
            )
        )
    return Prompts.pack(made, "test")


def test_prompts_survive_the_file_and_know_their_catalogue(tmp_path: Path) -> None:
    made = prompts()
    made.save(tmp_path / "p.npz")
    read = Prompts.load(tmp_path / "p.npz", "test")
    popularity = np.ones(ITEMS, np.float32)
    for k in range(len(made)):
        weights = read[k].weights(popularity)
        assert weights.sum() == pytest.approx(1)
        assert (weights[read[k].gone] == 0).all()
        assert weights[read[k].top].sum() == pytest.approx(0.95, abs=1e-6)
        assert read[k].ids.tolist() == made[k].ids.tolist()
    with pytest.raises(PromptsError, match="another build"):
        Prompts.load(tmp_path / "p.npz", "other")
    with pytest.raises(PromptsError, match="missing"):
        Prompts.load(tmp_path / "none.npz")


@pytest.mark.parametrize("share", [True, False])
def test_scores_are_those_of_the_sampling(tokenizer, mask: SlateMask, share: bool) -> None:
    """Sampling masked and differentiating unmasked would be biased."""
    model = tiny_model(tokenizer).train(False)
    base = tokenizer.convert_tokens_to_ids(SID_TOKENS[0])
    made = prompts()
    popularity = np.ones(ITEMS, np.float32)
    chosen = [0, 3]
    groups = [
        sample(
            model,
            made[k].ids.tolist(),
            made[k].weights(popularity),
            mask,
            n=4,
            rollouts=3,
            sid_base=base,
            generator=np.random.default_rng(k),
            dials=Dials(alpha=0.7),
        )
        for k in chosen
    ]
    longest = max(len(made[k].ids) for k in chosen)
    ids, seen = [], []
    for k in chosen:
        own = made[k].ids.tolist()
        ids += [[0] * (longest - len(own)) + own] * 3
        seen += [[0] * (longest - len(own)) + [1] * len(own)] * 3
    every = [rollout for group in groups for rollout in group]
    tokens = torch.tensor([r.tokens for r in every])
    found = score(
        model,
        torch.tensor(ids),
        torch.tensor(seen),
        tokens,
        torch.ones_like(tokens),
        torch.from_numpy(np.stack([r.logmass for r in every])),
        sid_base=base,
        alpha=0.7,
        share_prompts=share,
    )
    expected = torch.tensor(np.stack([r.logps for r in every]), dtype=torch.float32)
    assert torch.allclose(found.logps, expected, atol=2e-4)
    for k, group in zip(chosen, groups, strict=True):
        for rollout in group:
            assert len(set(rollout.rows)) == 4  # no repeats
            assert not set(rollout.rows) & set(made[k].gone.tolist())


def test_groups_side_by_side_are_what_each_would_be_alone(tokenizer, mask: SlateMask) -> None:
    """Prompts of different length share passes; greedy slates show that padding changes nothing."""
    model = tiny_model(tokenizer).train(False)
    made = prompts()
    popularity = np.ones(ITEMS, np.float32)
    chosen = [made[k] for k in (0, 3, 5)]
    options = {
        "n": 4,
        "rollouts": 2,
        "sid_base": tokenizer.convert_tokens_to_ids(SID_TOKENS[0]),
        "generator": np.random.default_rng(0),
        "dials": Dials(temperature=0.0),
    }
    ids = [prompt.ids.tolist() for prompt in chosen]
    weights = [prompt.weights(popularity) for prompt in chosen]
    groups = sample_groups(model, ids, weights, mask, **options)
    for own, weight, group in zip(ids, weights, groups, strict=True):
        alone = sample(model, own, weight, mask, **options)
        assert [r.rows for r in group] == [r.rows for r in alone]
        assert np.allclose(group[0].logps, alone[0].logps, atol=1e-4)


def test_the_level_s_rows_alone_give_the_same_logits(
    tokenizer, mask: SlateMask, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(tokenizer).train(False)
    base = tokenizer.convert_tokens_to_ids(SID_TOKENS[0])
    torch.manual_seed(0)
    ids = torch.randint(0, 200, (2, 5))
    codes = base + torch.randint(0, 256, (2, 7)) + 256 * (torch.arange(7) % 3)
    ones = torch.ones_like(codes)
    mass = torch.zeros(2, 7, 256)
    fast = score(model, ids, torch.ones_like(ids), codes, ones, mass, sid_base=base)
    assert sliced(model)
    monkeypatch.setattr("training.slate_policy.SLICED", ())
    for share in (True, False):
        slow = score(
            model, ids, torch.ones_like(ids), codes, ones, mass, sid_base=base, share_prompts=share
        )
        assert torch.allclose(fast.logps, slow.logps, atol=1e-4)


def trained(tmp_path: Path, tokenizer, mask: SlateMask, **options):
    from datasets import Dataset

    from training.rank_grpo import RankGRPOConfig, RankGRPOTrainer

    made = prompts(2)
    settings = {
        "output_dir": str(tmp_path),
        "per_device_train_batch_size": 16,
        "num_generations": 8,
        "max_steps": 12,
        "learning_rate": 3e-3,
        "ranks": 3,
        "beta": 0.0,
        "report_to": [],
        "save_strategy": "no",
        "use_cpu": True,
        "logging_steps": 1,
        "disable_tqdm": True,
        "gradient_checkpointing": False,
        "lr_scheduler_type": "constant",
        "bf16": False,
        "seed": 3,
    } | options
    trainer = RankGRPOTrainer(
        tiny_model(tokenizer),
        RankGRPOConfig(**settings),
        prompts=made,
        mask=mask,
        popularity=np.ones(ITEMS, np.float32),
        sid_base=tokenizer.convert_tokens_to_ids(SID_TOKENS[0]),
        processing_class=tokenizer,
        train_dataset=Dataset.from_dict({"prompt": ["a", "b"], "index": [0, 1]}),
    )
    trainer.train()
    return [entry for entry in trainer.state.log_history if "hits" in entry]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arm",
    [
        {"returns": "exp_inf"},
        {"returns": "log", "beta": 0.01},
        {"advantage": "sequence", "ratio": "token", "normalize": "token"},
        {"advantage": "sequence", "ratio": "sequence", "num_iterations": 2},
        {"only_reachable": True, "hard_negatives": 0.5, "std": "none", "learning_rate": 1e-2},
    ],
    ids=["exp_inf", "log", "grpo", "gspo", "side arms"],
)
def test_every_arm_learns_two_prompts(tmp_path: Path, tokenizer, mask: SlateMask, arm) -> None:
    """Two of thirty items are wanted: hits by chance are 0.2 a slate of three."""
    log = trained(tmp_path, tokenizer, mask, max_steps=30, **arm)
    first = np.mean([entry["hits"] for entry in log[:4]])
    last = np.mean([entry["hits"] for entry in log[-6:]])
    assert last > first + 0.25, (first, last)


@pytest.mark.slow
def test_one_step_runs_and_logs_what_the_ladder_reads(
    tmp_path: Path, tokenizer, mask: SlateMask
) -> None:
    log = trained(tmp_path, tokenizer, mask, max_steps=1, beta=0.01)
    assert {"hits", "zero_std_ranks", "kl", "clip", "entropy", "reward"} <= set(log[0])


@pytest.mark.slow
def test_contradicting_options_are_refused(tmp_path: Path) -> None:
    from training.rank_grpo import RankGRPOConfig, RankGRPOError

    with pytest.raises(RankGRPOError, match="share_prompts=False"):
        RankGRPOConfig(output_dir=str(tmp_path), gradient_checkpointing=True, use_cpu=True)
    with pytest.raises(RankGRPOError, match="advantage=sequence"):
        RankGRPOConfig(
            output_dir=str(tmp_path), ratio="sequence", gradient_checkpointing=False, use_cpu=True
        )
