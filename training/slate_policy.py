"""The slate policy of reinforcement learning: sampled and differentiated under one mask.

The policy *is* the masked, prior-weighted, renormalised distribution over a level's 256
codes (DESIGN.md, "Retrieval prior inside the decoder"): log-softmax of
``logits + alpha * logmass``. Sampling from it and differentiating something else would be
biased, so a rollout keeps the log-masses of each of its positions, and old, new and
reference log-probabilities are all computed from those.

A prompt is run through the model once however many rollouts it has, and only the rows of the
level in turn are multiplied by the hidden states: the vocabulary's 9,000 others never matter.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import DynamicCache

from catalog.trie import SlateMask
from catalog.trie_batch import Batch
from tools.tokens import CODES

LEVELS = 3


class Rollout(NamedTuple):
    """One sampled slate of r items. ``tokens`` (3 r,) ids; ``rows`` (r,) catalogue rows;
    ``logmass`` (3 r, 256) float32, -inf where the mask is closed; ``logps`` (3 r,)."""

    tokens: list[int]
    rows: list[int]
    logmass: npt.NDArray[np.float32]
    logps: npt.NDArray[np.float64]


class Dials(NamedTuple):
    """``alpha``: strength of the prior; ``masked`` False leaves the mask open on the slice
    (an ablation: items may then not exist); ``temperature`` of the sampling, 0 is greedy."""

    alpha: float = 1.0
    masked: bool = True
    temperature: float = 1.0


def sample(
    model: Any,
    prompt: Sequence[int],
    weights: npt.NDArray[np.float64],
    mask: SlateMask,
    *,
    n: int,
    rollouts: int,
    sid_base: int,
    generator: np.random.Generator,
    dials: Dials | None = None,
) -> list[Rollout]:
    """``rollouts`` slates of up to ``n`` items after one prompt, sampled side by side.

    ``weights``: (N,) prior, 0 = forbidden. Slates are shorter when fewer items are allowed.
    """
    drawn = sample_groups(
        model,
        [prompt],
        [weights],
        mask,
        n=n,
        rollouts=rollouts,
        sid_base=sid_base,
        generator=generator,
        dials=dials,
    )
    return drawn[0]


def sample_groups(
    model: Any,
    prompts: Sequence[Sequence[int]],
    weights: Sequence[npt.NDArray[np.float64]],
    mask: SlateMask,
    *,
    n: int,
    rollouts: int,
    sid_base: int,
    generator: np.random.Generator,
    dials: Dials | None = None,
) -> list[list[Rollout]]:
    """``sample`` after several prompts in shared forward passes: a group a prompt."""
    dials = dials or Dials()
    filters = [mask.filter(one) for one in weights]
    sizes = [min(n, f.allowed) if dials.masked else n for f in filters]
    out: list[list[Rollout]] = [[] for _ in prompts]
    for size in sorted(set(sizes)):  # one size, unless hardly anything is allowed
        which = [i for i, own in enumerate(sizes) if own == size]
        batch = mask.batch([filters[i] for i in which for _ in range(rollouts)])
        state = _Prompts(model, [prompts[i] for i in which], rollouts, sid_base)
        made = _rollouts(state, mask, batch, size, generator, dials)
        for k, i in enumerate(which):
            out[i] = made[k * rollouts : (k + 1) * rollouts]
    return out


class _Prompts:
    """Prompts in the model's cache, ``rollouts`` rows each, codes fed one at a time."""

    def __init__(
        self, model: Any, prompts: Sequence[Sequence[int]], rollouts: int, sid_base: int
    ) -> None:
        self.model, self.sid_base = model, sid_base
        self.device = next(model.parameters()).device
        self.cache = DynamicCache()
        self.lengths = torch.tensor([len(p) for p in prompts], device=self.device)
        width = max(len(p) for p in prompts)
        ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts], device=self.device)
        self.seen = (
            torch.arange(width, device=self.device) >= width - self.lengths[:, None]
        ).long()
        places = (self.seen.cumsum(1) - 1).clamp(min=0)
        with torch.no_grad():
            logits = code_logits(model, sid_base, 1, ids, self.seen, places, self.cache)
        self.logits = logits[:, -1].repeat_interleave(rollouts, 0)
        self.cache.batch_repeat_interleave(rollouts)
        self.seen = self.seen.repeat_interleave(rollouts, 0)
        self.lengths = self.lengths.repeat_interleave(rollouts)

    def __len__(self) -> int:
        return len(self.lengths)

    def feed(self, tokens: npt.NDArray[np.int64], step: int) -> None:
        """Token ``step`` of every row, (B,) ids; ``logits`` are then the next level's."""
        fed = torch.from_numpy(tokens).to(self.device)[:, None]
        self.seen = torch.cat([self.seen, torch.ones_like(self.seen[:, :1])], 1)
        places = (self.lengths + step)[:, None]
        with torch.no_grad():
            self.logits = code_logits(
                self.model, self.sid_base, 1, fed, self.seen, places, self.cache, step + 1
            )[:, -1]


def _rollouts(
    state: _Prompts,
    mask: SlateMask,
    batch: Batch,
    size: int,
    generator: np.random.Generator,
    dials: Dials,
) -> list[Rollout]:
    """Draw ``size`` items in every row of ``state``."""
    count = len(state)
    owners = np.arange(count)
    tokens = np.zeros((count, size * LEVELS), np.int64)
    rows = np.zeros((count, size), np.int64)
    masses = np.zeros((count, size * LEVELS, CODES), np.float32)
    logps = np.zeros((count, size * LEVELS))
    nodes = np.zeros(count, np.int64)
    for step in range(size * LEVELS):
        level = step % LEVELS
        scores = state.logits.double().cpu().numpy()
        if dials.masked:
            nodes = nodes * (level > 0)
            found = batch.step(level, owners, nodes)
            masses[:, step] = found.logs()
            scores = scores + dials.alpha * masses[:, step]
        scores -= np.logaddexp.reduce(scores, axis=1)[:, None]
        drawn = scores
        if dials.temperature > 0:
            drawn = scores / dials.temperature + generator.gumbel(size=scores.shape)
        codes = drawn.argmax(1)
        logps[:, step] = scores[owners, codes]
        tokens[:, step] = state.sid_base + CODES * level + codes
        if dials.masked:
            nodes = found.children[owners, codes].astype(np.int64)
            if level == LEVELS - 1:
                for deeper in range(LEVELS, mask.levels):  # twins: the prior tells them apart
                    twins = batch.step(deeper, owners, nodes)
                    nodes = twins.children[owners, twins.weights.argmax(1)].astype(np.int64)
                batch.emit(owners, nodes)
                rows[:, step // LEVELS] = mask.order[nodes]
        if step + 1 < size * LEVELS:
            state.feed(tokens[:, step], step)
    return [
        Rollout(tokens[i].tolist(), rows[i].tolist() if dials.masked else [], masses[i], logps[i])
        for i in range(count)
    ]


def code_logits(
    model: Any,
    sid_base: int,
    keep: int,
    ids: Tensor,
    seen: Tensor,
    places: Tensor,
    cache: Any = None,
    first: int = 0,
) -> Tensor:
    """Logits of a level's 256 codes at the last ``keep`` positions. Shape: (B, keep, 256).

    The first kept position predicts a code of level ``first % 3``. The head is multiplied by
    the level's own rows only, where the model's logits are nothing but that product and its
    parts may be called one by one (``SLICED``, one process); else all logits are computed.
    """
    inputs: dict[str, Any] = {"attention_mask": seen, "position_ids": places}
    inputs |= {"past_key_values": cache, "use_cache": cache is not None}
    levels = [(first + t) % LEVELS for t in range(keep)]
    if sliced(model):
        hidden = model.get_decoder()(input_ids=ids, **inputs).last_hidden_state[:, -keep:]
        head = model.get_output_embeddings().weight
        parts = hidden.new_empty((*hidden.shape[:2], CODES))
        for level in set(levels):
            own = slice((level - first) % LEVELS, None, LEVELS)
            rows = head[sid_base + CODES * level : sid_base + CODES * (level + 1)]
            parts[:, own] = (hidden[:, own] @ rows.T).to(parts.dtype)
        return parts
    logits = model(input_ids=ids, logits_to_keep=keep, **inputs).logits
    start = sid_base + CODES * torch.tensor(levels, device=logits.device)
    columns = start[:, None] + torch.arange(CODES, device=logits.device)
    return logits.gather(2, columns.expand(len(logits), -1, -1))


#: Architectures whose logits are their head times the hidden state: no cap, no scale, no bias.
SLICED = ("qwen3", "qwen2", "llama", "mistral")


def sliced(model: Any) -> bool:
    """Whether ``code_logits`` may take the head apart: see there."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return False  # FSDP gathers parameters in the whole model's forward only
    config = getattr(model, "config", None)
    return (
        getattr(config, "model_type", "") in SLICED
        and hasattr(model, "get_decoder")
        and type(model.get_output_embeddings()) is torch.nn.Linear
    )


class Scored(NamedTuple):
    """``logps`` and ``entropies``, both (B, T); undefined under padding."""

    logps: Tensor
    entropies: Tensor


def score(
    model: Any,
    prompts: Tensor,
    prompt_mask: Tensor,
    completions: Tensor,
    completion_mask: Tensor,
    logmass: Tensor,
    *,
    sid_base: int,
    alpha: float = 1.0,
    share_prompts: bool = True,
) -> Scored:
    """Log-probabilities of sampled slates under the masked policy, with gradient.

    Shapes: prompts (B, P) left-padded, completions (B, T) right-padded, logmass
    (B, T, 256). Token t of a slate is a code of level ``t % 3``. ``share_prompts`` runs each
    distinct prompt once and spreads its key-value cache over its rollouts: with 16 rollouts
    of 30 tokens after 128 that is a quarter of the work. Positions after the codes (an end
    token) have log-probability 0: the slate's length is no choice of the policy.
    """
    length = completions.shape[1]
    if share_prompts:
        logits = _shared(model, prompts, prompt_mask, completions, completion_mask, sid_base)
    else:
        ids = torch.cat([prompts, completions], 1)
        seen = torch.cat([prompt_mask, completion_mask], 1)
        places = (seen.cumsum(1) - 1).clamp(min=0)
        # The last token predicts nothing that was written: one more is kept, and dropped.
        kept = code_logits(model, sid_base, length + 1, ids, seen, places)
        logits = kept[:, :-1]
    levels = torch.arange(length, device=logits.device) % LEVELS
    code = completions - sid_base - CODES * levels
    is_code = (code >= 0) & (code < CODES) & completion_mask.bool()
    # Closed codes, and whole padded positions, must not make a NaN of the gradient.
    open_ = torch.isfinite(logmass) & is_code[..., None]
    scores = torch.where(
        open_, logits.float() + alpha * logmass.float().nan_to_num(neginf=0.0), -1e9
    )
    logs = torch.log_softmax(scores, -1)
    logps = logs.gather(2, code.clamp(0, CODES - 1)[..., None])[..., 0]
    entropies = -(logs.exp() * torch.where(open_, logs, 0.0)).sum(-1)
    return Scored(torch.where(is_code, logps, 0.0), torch.where(is_code, entropies, 0.0))


def _shared(
    model: Any,
    prompts: Tensor,
    prompt_mask: Tensor,
    completions: Tensor,
    completion_mask: Tensor,
    sid_base: int,
) -> Tensor:
    """Logits of each completion token's level, (B, T, 256), each distinct prompt run once."""
    both = torch.cat([prompts, prompt_mask], 1)
    distinct, which = both.unique(dim=0, return_inverse=True)
    width = prompts.shape[1]
    ids, seen = distinct[:, :width], distinct[:, width:]
    cache = DynamicCache()
    places = (seen.cumsum(1) - 1).clamp(min=0)
    first = code_logits(model, sid_base, 1, ids, seen, places, cache)[which]
    cache.batch_select_indices(which)
    more = completions.shape[1] - 1
    if not more:
        return first
    lengths = prompt_mask.sum(1, keepdim=True)
    rest = code_logits(
        model,
        sid_base,
        more,
        completions[:, :-1],
        torch.cat([prompt_mask, completion_mask[:, :-1]], 1),
        lengths + torch.arange(more, device=ids.device),
        cache,
        first=1,
    )
    return torch.cat([first, rest], 1)
