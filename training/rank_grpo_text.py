"""Rank-GRPO on slates of titles, one "Title (Year)" a line, as in the paper.

The same credit by rank as ``training.rank_grpo``; what differs is that the model writes words,
so a rank is however many tokens its line has. One segmenter
(``training.slate_segments.segment_text``) says which tokens belong to which rank, for the
rewards and for the token masks alike. Too short a slate costs ``PENALTY`` at the end token, each
line past N as much. Titles count as the paper counts them: the name exactly, the year within two.
Dataset columns: ``prompt`` (text), ``targets`` (titles), ``seen`` (titles that earn nothing).
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from accelerate.utils import is_peft_model
from torch import Tensor
from trl import GRPOTrainer

from training import rewards
from training.rank_grpo import RankGRPOConfig, RankGRPOError
from training.rank_loss import Clip, Rollouts, policy_loss
from training.slate_segments import Segments, Title, parse_title, segment_text


def same_title(one: Any, other: Any) -> bool:
    """The paper's rule, for what ``parse_title`` gives; a year of 0 is any year."""
    if not (isinstance(one, Title) and isinstance(other, Title)):
        return False
    return one.name == other.name if 0 in (one.year, other.year) else one.matches(other)


def titled(name: str) -> Title:
    """A target or seen title, with or without its year."""
    return parse_title(name) or Title(" ".join(name.casefold().split()), 0)


def slate_relevance(found: Segments, targets: list[str], seen: list[str], ranks: int) -> Any:
    """Relevance a rank. Shape: ``(ranks,)``; a seen title earns nothing even if it is a target."""
    known = [titled(name) for name in seen]
    items = [
        None if item is None or any(same_title(item, one) for one in known) else item
        for item in found.items
    ]
    return rewards.relevant(items, [titled(name) for name in targets], ranks, same=same_title)


class TextRankGRPOTrainer(GRPOTrainer):  # type: ignore[misc]  # TRL ships no types
    """See the module docstring. Options are those of ``RankGRPOConfig``; mask and alpha rest."""

    def __init__(self, model: Any, args: RankGRPOConfig, **rest: Any) -> None:
        self.segments: list[Segments] = []
        self.rank_returns: Tensor = torch.zeros(0)
        # As in training.rank_grpo: TRL loads a reference by name, this model may have none.
        beta, reference = args.beta, None
        if beta != 0.0 and not is_peft_model(model):
            reference, args.beta = copy.deepcopy(model), 0.0
        super().__init__(model=model, reward_funcs=_dcg, args=args, **rest)
        if reference is not None:
            self.beta = args.beta = beta
            self.ref_model = self.accelerator.prepare_model(
                reference.requires_grad_(False), evaluation_mode=True
            )

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: list[list[int]]
    ) -> Tensor:
        """The scalar of the sequence arms, gathered; per-rank returns are kept aside."""
        n = self.args.ranks
        eos = self._tokenizer.eos_token_id
        self.segments = [
            segment_text(list(ids), self._tokenizer, eos=eos, n=n) for ids in completion_ids_list
        ]
        width = self._width()
        relevance = np.stack(
            [
                slate_relevance(found, one["targets"], one["seen"], width)
                for found, one in zip(self.segments, inputs, strict=True)
            ]
        )
        relevance[:, n:] = 0.0
        returned = rewards.rank_returns(relevance[:, :n], self.args.returns)
        returned = np.pad(returned, ((0, 0), (0, width - n)))
        returned = rewards.with_penalties(returned, self.segments, n)
        device, gather = self.accelerator.device, self.accelerator.gather
        self.rank_returns = gather(torch.tensor(returned, device=device))
        hits = relevance.sum(1)
        mode = "train" if self.model.training else "eval"
        self._metrics[mode]["hits"].append(float(hits.mean()))
        scalar = rewards.dcg(relevance, n)
        return torch.as_tensor(
            gather(torch.tensor(scalar, dtype=torch.float32, device=device)[:, None])
        )

    def _width(self) -> int:
        """Ranks of the longest rollout of any process, N at least, one more for an early end."""
        own = max([self.args.ranks, *(len(found.items) + 1 for found in self.segments)])
        every = self.accelerator.gather(torch.tensor([own], device=self.accelerator.device))
        return int(every.max())

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        mode = "train" if self.model.training else "eval"
        group = self.num_generations if mode == "train" else self.num_generations_eval
        tokens = output["completion_ids"].shape[1]
        ids = torch.zeros((len(self.segments), tokens), dtype=torch.long)
        for row, found in zip(ids, self.segments, strict=True):
            own = torch.tensor(found.rank_ids[:tokens])
            row[: len(own)] = own
        returned = self.rank_returns.cpu().numpy()
        width = returned.shape[1]
        if self.args.advantage == "sequence":
            output["advantages"] = output["advantages"][:, None].expand(-1, width).contiguous()
        else:
            found_ = rewards.rank_advantages(
                returned.reshape(-1, group, width), self.args.std, None
            ).reshape(-1, width)
            mine = self.accelerator.process_index * len(self.segments)
            output["advantages"] = (
                torch.from_numpy(found_[mine : mine + len(self.segments)])
                .float()
                .to(self.accelerator.device)
            )
        self._metrics[mode]["zero_std_ranks"].append(
            rewards.zero_deviation(returned.reshape(-1, group, width))
        )
        output["rank_ids"] = ids.clamp(max=width - 1).to(self.accelerator.device)
        written = [max(min(len(s.items), self.args.ranks), 1) for s in self.segments]
        output["ranks"] = torch.tensor(written, device=self.accelerator.device)
        return output

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
        """From plain logits: TRL's fused head needs the model that it loaded itself."""
        size = batch_size or len(input_ids)
        logps, entropies = [], []
        for k in range(0, len(input_ids), size):
            ids = input_ids[k : k + size]
            with self.accelerator.autocast():
                logits = model(
                    input_ids=ids,
                    attention_mask=attention_mask[k : k + size],
                    logits_to_keep=logits_to_keep + 1,
                    use_cache=False,
                ).logits[:, :-1]
            logits = logits.float() / self.temperature
            wanted = ids[:, -logits_to_keep:, None]
            total = torch.logsumexp(logits, -1)
            logps.append(logits.gather(2, wanted)[..., 0] - total)
            if compute_entropy:
                with torch.no_grad():
                    mean = (torch.softmax(logits, -1) * logits).sum(-1)
                entropies.append(total.detach() - mean)
        return torch.cat(logps), torch.cat(entropies) if compute_entropy else None, None

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
        seen = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
        keep = inputs["completion_ids"].shape[1]
        logps, _, _ = self._get_per_token_logps_and_entropies(model, ids, seen, keep)
        result = policy_loss(
            Rollouts(
                logps,
                inputs.get("old_per_token_logps"),
                inputs.get("ref_per_token_logps"),
                inputs["rank_ids"],
                inputs["completion_mask"].bool(),
                inputs["advantages"],
                inputs["ranks"],
            ),
            level=self.args.ratio,
            normalize=self.args.normalize,
            clip=Clip(self.epsilon_low, self.epsilon_high),
            beta=self.beta,
            longest=self.max_completion_length,
        )
        mode = "train" if self.model.training else "eval"
        gather = self.accelerator.gather
        for name, value in (("kl", result.kl), ("clip", result.clipped)):
            self._metrics[mode][name].append(gather(value).nanmean().item())
        steps = self.current_gradient_accumulation_steps if mode == "train" else 1
        return result.loss / steps


def _dcg(prompts: Any, completions: Any, **kwargs: Any) -> list[float]:
    """Names the reward in TRL's log; ``_calculate_rewards`` computes it."""
    raise RankGRPOError("The DCG reward is computed by TextRankGRPOTrainer itself.")
