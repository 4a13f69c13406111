"""Rank-GRPO on TRL: a GRPOTrainer whose credit is given rank by rank.

What differs from the stock trainer, and nothing else:

* rollouts are slates under the mask (``training.slate_policy``), a rollout keeps the
  log-masses of its positions, and every log-probability is taken under them;
* rewards are kept per rank; advantages compare a rank with the same rank of the group;
* the loss is ``training.rank_loss.policy_loss``: ratio per rank, mean over ranks.

The sequence arms (GRPO, GSPO) are the same class with ``advantage="sequence"``: one
advantage a rollout, from DCG@N. Dataset columns: ``prompt`` (any text; what is fed are the
ids of the prompts file) and ``index`` into the ``Prompts``.
Source: arXiv 2510.20150; on TRL 1.16.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from accelerate.utils import is_peft_model
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer

from catalog.errors import ParleyError
from catalog.trie import SlateMask
from training import rewards
from training.rank_loss import Clip, Level, Normalize, Rollouts, policy_loss
from training.rl_prompts import Prompt, Prompts
from training.slate_policy import LEVELS, Dials, Rollout, sample_groups, score
from training.slate_segments import segment_codes

Floats = npt.NDArray[np.float64]
#: An extra reward: (rows of the slate, the prompt) -> one value a rank.
RankReward = Callable[[Sequence[int], Prompt], Floats]


class RankGRPOError(ParleyError):
    """Options of the trainer that exclude each other, with what to change."""


@dataclass
class RankGRPOConfig(GRPOConfig):  # type: ignore[misc]  # TRL ships no types
    """TRL's options and ours. ``max_prompt_length`` does not exist in TRL: filter before."""

    ranks: int = field(default=10, metadata={"help": "N: items of a slate"})
    returns: str = field(default="exp_inf", metadata={"help": "log, exp_2, exp_inf, window_3"})
    advantage: Literal["rank", "sequence"] = "rank"
    ratio: Level = field(default="rank", metadata={"help": "rank, token (GRPO), sequence (GSPO)"})
    normalize: Normalize = "rank"
    std: rewards.Scale = field(default="rank", metadata={"help": "rank, batch or none"})
    only_reachable: bool = field(default=False, metadata={"help": "leave out used-up rollouts"})
    hard_negatives: float = field(default=0.0, metadata={"help": "ReRe-style penalty, 0 = off"})
    normalise_each: bool = field(default=False, metadata={"help": "rewards, before summing"})
    alpha: float = field(default=1.0, metadata={"help": "strength of the retrieval prior"})
    masked: bool = field(default=True, metadata={"help": "roll out under the mask"})
    share_prompts: bool = field(default=True, metadata={"help": "run each prompt once"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gradient_checkpointing and self.share_prompts:
            raise RankGRPOError(
                "gradient_checkpointing recomputes layers, which a shared prompt cache cannot: "
                "set share_prompts=False, or gradient_checkpointing=False."
            )
        if self.advantage == "rank" and self.ratio == "sequence":
            raise RankGRPOError(
                "ratio=sequence has one ratio a rollout, advantage=rank one advantage a rank: "
                "choose advantage=sequence for GSPO, or ratio=rank."
            )


class RankGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """See the module docstring. ``extra`` are (name, weight, reward) beside relevance."""

    def __init__(
        self,
        model: Any,
        args: RankGRPOConfig,
        *,
        prompts: Prompts,
        mask: SlateMask,
        popularity: npt.NDArray[np.float32],
        sid_base: int,
        extra: Sequence[tuple[str, float, RankReward]] = (),
        **rest: Any,
    ) -> None:
        self.prompts, self.mask, self.popularity = prompts, mask, popularity
        self.sid_base, self.extra = sid_base, tuple(extra)
        self.rows: list[int] = []
        self.rollouts: list[Rollout] = []
        self.rank_rewards: list[Tensor] = []
        self.draws = np.random.default_rng(args.seed)
        # TRL would load the reference by the model's name; a model trained here has none. What
        # is given is the reference: with an adapter TRL turns that off, else a copy is kept.
        beta = args.beta
        reference = None
        if beta != 0.0 and not is_peft_model(model):
            reference, args.beta = copy.deepcopy(model), 0.0
        super().__init__(model=model, reward_funcs=_dcg, args=args, **rest)
        if reference is not None:
            self.beta = args.beta = beta
            self.ref_model = self.accelerator.prepare_model(
                reference.requires_grad_(False), evaluation_mode=True
            )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self.rows = [int(one["index"]) for one in inputs]
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        output["advantages"] = self._advantages(output["advantages"])
        width = output["completion_ids"].shape[1]
        ids = torch.arange(width, device=output["completion_ids"].device) // LEVELS
        output["rank_ids"] = ids.expand(len(self.rows), -1).contiguous()
        output["ranks"] = torch.tensor(
            [max(len(r.tokens) // LEVELS, 1) for r in self.rollouts], device=ids.device
        )
        output["logmass"] = self._logmass(width)
        return output

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [self.prompts[row].ids.tolist() for row in self.rows], None, {}

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any
    ) -> tuple[list[list[int]], None]:
        model = self.accelerator.unwrap_model(self.model)
        training = model.training
        model.eval()
        dials = Dials(self.args.alpha, self.args.masked, self.args.temperature)
        # Rollouts of one prompt stand side by side; one process may hold a part of a group.
        changes = np.flatnonzero(np.diff(self.rows)) + 1
        starts, ends = [0, *changes], [*changes, len(self.rows)]
        sizes = [end - start for start, end in zip(starts, ends, strict=True)]
        groups: list[list[Rollout]] = [[] for _ in starts]
        for size in sorted(set(sizes)):
            which = [k for k, own in enumerate(sizes) if own == size]
            made = sample_groups(
                model,
                [prompt_ids[starts[k]] for k in which],
                [self.prompts[self.rows[starts[k]]].weights(self.popularity) for k in which],
                self.mask,
                n=self.args.ranks,
                rollouts=size,
                sid_base=self.sid_base,
                generator=self.draws,
                dials=dials,
            )
            for k, group in zip(which, made, strict=True):
                groups[k] = group
        self.rollouts = [rollout for group in groups for rollout in group]
        model.train(training)
        return [r.tokens for r in self.rollouts], None

    def _logmass(self, width: int) -> Tensor:
        """(B, width, 256) on the model's device, -inf under padding."""
        mass = np.full((len(self.rollouts), width, 256), -np.inf, np.float32)
        for i, rollout in enumerate(self.rollouts):
            mass[i, : len(rollout.tokens)] = rollout.logmass
        return torch.from_numpy(mass).to(self.accelerator.device)

    def _score(self, model: Any, ids: Tensor, seen: Tensor, keep: int, logmass: Tensor) -> Any:
        return score(
            model,
            ids[:, :-keep],
            seen[:, :-keep],
            ids[:, -keep:],
            seen[:, -keep:],
            logmass,
            sid_base=self.sid_base,
            alpha=self.args.alpha,
            share_prompts=self.args.share_prompts,
        )

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None, None]:
        """Old and reference log-probabilities of the rollouts just made, in their order."""
        logmass = self._logmass(logits_to_keep)
        size = batch_size or len(input_ids)
        parts = [
            self._score(
                model,
                input_ids[k : k + size],
                attention_mask[k : k + size],
                logits_to_keep,
                logmass[k : k + size],
            )
            for k in range(0, len(input_ids), size)
        ]
        entropies = torch.cat([p.entropies for p in parts]) if compute_entropy else None
        return torch.cat([p.logps for p in parts]), entropies, None

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: list[list[int]]
    ) -> Tensor:
        """The scalar of the sequence arms, (n, 1), gathered; per-rank values are kept aside."""
        n = self.args.ranks
        relevance = np.zeros((len(self.rows), n))
        returned = np.zeros((1 + len(self.extra), len(self.rows), n))
        logps = np.zeros((len(self.rows), n))
        for i, (row, ids) in enumerate(zip(self.rows, completion_ids_list, strict=True)):
            prompt = self.prompts[row]
            found = segment_codes(
                ids, levels=LEVELS, base=self.sid_base, eos=-1, n=n, lookup=self._item
            )
            relevance[i] = rewards.relevant(found.items, prompt.targets.tolist(), n)
            spread = self.rollouts[i].logps.reshape(-1, LEVELS).mean(1)
            logps[i, : len(spread)] = spread
            for k, (_, weight, reward) in enumerate(self.extra, 1):
                rows = [-1 if item is None else int(item) for item in found.items]  # type: ignore[call-overload]
                returned[k, i, : len(rows)] = weight * np.asarray(reward(rows, prompt))
        returned[0] = rewards.rank_returns(relevance, self.args.returns)
        gather = self.accelerator.gather
        device = self.accelerator.device
        targets = [len(self.prompts[row].targets) for row in self.rows]
        self.rank_rewards = [
            gather(torch.tensor(part, dtype=torch.float64, device=device))
            for part in (relevance, logps, np.array(targets), *returned)
        ]
        scalar = rewards.dcg(relevance, n) + sum(part.mean(1) for part in returned[1:])
        return torch.as_tensor(
            gather(torch.tensor(scalar, dtype=torch.float32, device=device)[:, None])
        )

    def _item(self, codes: tuple[int, ...]) -> int | None:
        lo, hi = self.mask.node(codes)
        return int(self.mask.order[lo]) if hi > lo else None

    def _advantages(self, scalar: Tensor) -> Tensor:
        """(B, N) of this process: the scalar spread over the ranks, or rank by rank."""
        n = self.args.ranks
        mode = "train" if self.model.training else "eval"
        group = self.num_generations if mode == "train" else self.num_generations_eval

        def grouped(values: Tensor) -> Floats:
            return values.cpu().numpy().reshape(-1, group, n)

        relevance = grouped(self.rank_rewards[0])
        returned = [grouped(part) for part in self.rank_rewards[3:]]
        self._metrics[mode]["hits"].append(float(relevance.sum(-1).mean()))
        self._metrics[mode]["zero_std_ranks"].append(rewards.zero_deviation(returned[0]))
        if self.args.advantage == "sequence":
            return scalar[:, None].expand(-1, n).contiguous()
        counts = None
        if self.args.only_reachable:
            targets = self.rank_rewards[2].cpu().numpy().astype(np.int64)[::group]
            counts = rewards.reachable(relevance, targets)
        if self.args.hard_negatives > 0:
            shaped = rewards.hard_negatives(
                relevance, grouped(self.rank_rewards[1]), self.args.hard_negatives
            )
            returned[0] = rewards.rank_returns(shaped, self.args.returns)
        if len(returned) == 1:
            found = rewards.rank_advantages(returned[0], self.args.std, counts)
        else:  # weights are in the values already
            ones = [1.0] * len(returned)
            found = rewards.combine(returned, ones, self.args.std, self.args.normalise_each)
        flat = torch.from_numpy(found.reshape(-1, n)).float()
        mine = self.accelerator.process_index * len(self.rows)
        return flat[mine : mine + len(self.rows)].to(self.accelerator.device)

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
        seen = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
        keep = inputs["completion_ids"].shape[1]
        with self.accelerator.autocast():
            found = self._score(model, ids, seen, keep, inputs["logmass"])
        mask = inputs["completion_mask"].bool()
        result = policy_loss(
            Rollouts(
                found.logps,
                inputs.get("old_per_token_logps"),
                inputs.get("ref_per_token_logps"),
                inputs["rank_ids"],
                mask,
                inputs["advantages"],
                inputs["ranks"],
            ),
            level=self.args.ratio,
            normalize=self.args.normalize,
            clip=Clip(self.epsilon_low, self.epsilon_high),
            beta=self.beta,
            longest=self.args.ranks * LEVELS,
        )
        mode = "train" if self.model.training else "eval"
        gather = self.accelerator.gather
        entropy = (found.entropies.detach() * mask).sum() / mask.sum().clamp(min=1)
        for name, value in (("kl", result.kl), ("clip", result.clipped), ("entropy", entropy)):
            self._metrics[mode][name].append(gather(value).nanmean().item())
        steps = self.current_gradient_accumulation_steps if mode == "train" else 1
        return result.loss / steps


def _dcg(prompts: Any, completions: Any, **kwargs: Any) -> list[float]:
    """Names the reward in TRL's log; ``_calculate_rewards`` computes it."""
    raise RankGRPOError("The DCG reward is computed by RankGRPOTrainer itself.")
