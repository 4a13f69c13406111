"""The slate policy of reinforcement learning: sampled and differentiated under one mask.

The policy *is* the masked, prior-weighted, renormalised distribution over a level's 256
codes (DESIGN.md, "Retrieval prior inside the decoder"): log-softmax of
``logits + alpha * logmass``. Sampling from it and differentiating something else would be
biased, so a rollout keeps the log-masses of each of its positions, and old, new and
reference log-probabilities are all computed from those.

A prompt is run through the model once however many rollouts it has.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import DynamicCache

from catalog.trie import SlateMask
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


@torch.no_grad()
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
    dials = dials or Dials()
    views = [mask.narrow(weights) for _ in range(rollouts)]
    size = min(n, views[0].left) if dials.masked else n
    device = next(model.parameters()).device
    cache = DynamicCache()
    out = model(
        input_ids=torch.tensor([list(prompt)], device=device), past_key_values=cache, use_cache=True
    )
    cache.batch_repeat_interleave(rollouts)
    logits = out.logits[:, -1].expand(rollouts, -1)
    tokens: list[list[int]] = [[] for _ in range(rollouts)]
    rows: list[list[int]] = [[] for _ in range(rollouts)]
    masses = np.zeros((rollouts, size * LEVELS, CODES), np.float32)
    logps = np.zeros((rollouts, size * LEVELS))
    nodes = [(0, len(mask))] * rollouts
    for step in range(size * LEVELS):
        level = step % LEVELS
        first = sid_base + CODES * level
        slice_ = logits[:, first : first + CODES].double().cpu().numpy()
        picked: list[int] = []
        for i, view in enumerate(views):
            if level == 0:
                nodes[i] = (0, len(mask))
            mass, ranges = _masses(view, level, nodes[i], dials.masked)
            scores = slice_[i] + dials.alpha * mass
            scores -= np.logaddexp.reduce(scores)
            if dials.temperature > 0:
                scores_drawn = scores / dials.temperature + generator.gumbel(size=CODES)
            else:
                scores_drawn = scores
            code = int(np.argmax(scores_drawn))
            masses[i, step], logps[i, step] = mass, scores[code]
            tokens[i].append(first + code)
            picked.append(first + code)
            if dials.masked:
                nodes[i] = ranges[code]
                if level == LEVELS - 1:
                    row = int(mask.order[nodes[i][0]])
                    view.emit(row)
                    rows[i].append(row)
        if step + 1 < size * LEVELS:
            fed = torch.tensor(picked, device=device)[:, None]
            logits = model(input_ids=fed, past_key_values=cache, use_cache=True).logits[:, -1]
    return [Rollout(tokens[i], rows[i], masses[i], logps[i]) for i in range(rollouts)]


def _masses(
    view: Any, level: int, node: tuple[int, int], masked: bool
) -> tuple[npt.NDArray[np.float32], dict[int, tuple[int, int]]]:
    """Log-mass of every code below a node, and the allowed children's ranges."""
    if not masked:
        return np.zeros(CODES, np.float32), {}
    children = view.children(level, *node)
    mass = np.full(CODES, -np.inf, np.float32)
    mass[children.tokens] = np.log(children.weights)
    ranges = zip(children.los.tolist(), children.his.tolist(), strict=True)
    return mass, dict(zip(children.tokens.tolist(), ranges, strict=True))


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
        logits = _shared(model, prompts, prompt_mask, completions, completion_mask)
    else:
        ids = torch.cat([prompts, completions], 1)
        seen = torch.cat([prompt_mask, completion_mask], 1)
        positions = (seen.cumsum(1) - 1).clamp(min=0)
        out = model(input_ids=ids, attention_mask=seen, position_ids=positions, use_cache=False)
        logits = out.logits[:, -length - 1 : -1]
    levels = torch.arange(length, device=logits.device) % LEVELS
    columns = sid_base + CODES * levels[:, None] + torch.arange(CODES, device=logits.device)
    sliced = logits.gather(2, columns.expand(len(logits), -1, -1)).float()
    code = completions - sid_base - CODES * levels
    is_code = (code >= 0) & (code < CODES) & completion_mask.bool()
    # Closed codes, and whole padded positions, must not make a NaN of the gradient.
    open_ = torch.isfinite(logmass) & is_code[..., None]
    scores = torch.where(open_, sliced + alpha * logmass.float().nan_to_num(neginf=0.0), -1e9)
    logs = torch.log_softmax(scores, -1)
    logps = logs.gather(2, code.clamp(0, CODES - 1)[..., None])[..., 0]
    entropies = -(logs.exp() * torch.where(open_, logs, 0.0)).sum(-1)
    return Scored(torch.where(is_code, logps, 0.0), torch.where(is_code, entropies, 0.0))


def _shared(
    model: Any, prompts: Tensor, prompt_mask: Tensor, completions: Tensor, completion_mask: Tensor
) -> Tensor:
    """Logits that predict each completion token, (B, T, V), each distinct prompt run once."""
    both = torch.cat([prompts, prompt_mask], 1)
    distinct, which = both.unique(dim=0, return_inverse=True)
    width = prompts.shape[1]
    ids, seen = distinct[:, :width], distinct[:, width:]
    cache = DynamicCache()
    out = model(
        input_ids=ids,
        attention_mask=seen,
        position_ids=(seen.cumsum(1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    cache.batch_select_indices(which)
    first = out.logits[which, -1:]
    if completions.shape[1] == 1:
        return torch.as_tensor(first)
    lengths = prompt_mask.sum(1, keepdim=True)
    rest = model(
        input_ids=completions[:, :-1],
        attention_mask=torch.cat([prompt_mask, completion_mask[:, :-1]], 1),
        position_ids=lengths + torch.arange(completions.shape[1] - 1, device=ids.device),
        past_key_values=cache,
        use_cache=True,
    )
    return torch.cat([first, rest.logits], 1)
