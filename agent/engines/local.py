"""parley-small in this process; slots that have no evidence cannot be written.

The loop is ours because each row has its own mask and leaves the batch when done; sampling
draws one number per token from the row's own generator, so a completion does not depend on
its neighbours in the batch.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from agent.engines.grammar import Grammars, Matcher
from agent.engines.protocol import Completion, OnText, Request
from agent.errors import LLMError
from tools.small_model import LoadedModel, load_small
from tools.tokens import SLOTS, SPECIAL

HEAD = 256  # tokens that a draw looks at before it looks at all


@dataclass
class _Sequence:
    """One request being decoded."""

    index: int
    request: Request
    prompt_tokens: int
    forbidden: Tensor  # (V,) bool
    once: dict[int, str]
    rng: np.random.Generator
    ids: list[int] = field(default_factory=list)
    matcher: Matcher | None = None

    def closed(self) -> Tensor:
        """What may not come next: by the request, and by its schema. Shape: (V,) bool."""
        return self.forbidden if self.matcher is None else self.matcher.forbidden()


class TransformersLLM:
    """parley-small in this process: one left-padded batch, our own loop.

    The loop is ours because each row has its own mask and leaves the batch when done;
    sampling draws one number per token from the row's own generator, so a completion does
    not depend on its neighbours in the batch.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self._closed = torch.zeros(len(loaded.tokenizer), dtype=torch.bool)
        vocabulary = loaded.tokenizer.get_vocab()
        self._closed[[vocabulary[t] for t in SPECIAL]] = True
        self._closed[loaded.eos] = False
        self._slot_ids = {t: vocabulary[t] for t in SLOTS}
        self._grammars: Grammars | None = None

    @classmethod
    def from_dir(cls, model_dir: Path) -> Self:
        """Load a model folder; use the constructor to share a loaded model."""
        return cls(load_small(model_dir))

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[Request], on_text: OnText | None = None
    ) -> list[Completion]:
        """See ``LLM.generate``."""
        if not requests:
            return []
        start = time.perf_counter()
        prompts = [self.loaded.encode(r.prompt) for r in requests]
        rows = [self._open(i, r, len(prompts[i])) for i, r in enumerate(requests)]
        done: dict[int, Completion] = {}
        cache = DynamicCache(config=self.loaded.model.config)
        tokens, seen = _left_padded(prompts, self.loaded.pad)
        while True:
            positions = (seen.cumsum(1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
            out = self.loaded.model.model(
                tokens,
                attention_mask=seen,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
            )
            logits = self.loaded.model.lm_head(out.last_hidden_state[:, -1]).float()
            picks = _pick(logits, rows)
            keep = []
            for k, (row, token) in enumerate(zip(rows, picks, strict=True)):
                completion = self._advance(row, token, start)
                if completion is None:
                    keep.append(k)
                    continue
                done[row.index] = completion
                if on_text is not None:
                    on_text(row.index, completion)
            if len(keep) < len(rows):
                if not keep:
                    break
                rows = [rows[k] for k in keep]
                cache.batch_select_indices(torch.tensor(keep))
                seen = seen[keep]
            tokens = torch.tensor([[row.ids[-1]] for row in rows])
            seen = torch.cat([seen, seen.new_ones(len(rows), 1)], dim=1)
        return [done[i] for i in range(len(requests))]

    def _open(self, index: int, request: Request, length: int) -> _Sequence:
        if length == 0 or request.max_tokens < 1:
            raise LLMError(
                f"request {index}: a prompt of {length} tokens and max_tokens="
                f"{request.max_tokens}; both need at least 1"
            )
        allowed = SLOTS if request.allowed_slots is None else request.allowed_slots
        unknown = (set(allowed) | request.once_slots) - self._slot_ids.keys()
        if unknown:
            raise LLMError(f"{sorted(unknown)} are no slots; see tools.tokens.SLOTS")
        forbidden = self._closed.clone()
        if allowed:
            forbidden[[self._slot_ids[t] for t in allowed]] = False
        once = {self._slot_ids[t]: t for t in request.once_slots}
        row = _Sequence(
            index, request, length, forbidden, once, np.random.default_rng(request.seed)
        )
        if request.schema is not None:
            if self._grammars is None:
                words = self.loaded.tokenizer, len(self._closed), self.loaded.eos
                self._grammars = Grammars(*words)
            row.matcher = self._grammars.matcher(request.schema)
        return row

    def _advance(self, row: _Sequence, token: int, start: float) -> Completion | None:
        """Take one token in; the completion if it was the last."""
        request, finished = row.request, token == self.loaded.eos
        if not finished:
            row.ids.append(token)
            if row.matcher is not None:
                row.matcher.take(token)
            if token in row.once:
                row.forbidden[token] = True
            if len(row.ids) < request.max_tokens and not request.stop:
                return None
        text = str(self.loaded.tokenizer.decode(row.ids, skip_special_tokens=False))
        cuts = [at for s in request.stop if (at := text.find(s)) >= 0]
        if not finished and not cuts and len(row.ids) < request.max_tokens:
            return None
        return Completion(
            text=(text[: min(cuts)] if cuts else text).strip(),
            tokens=len(row.ids),
            prompt_tokens=row.prompt_tokens,
            seconds=time.perf_counter() - start,
            finished=finished or bool(cuts),
        )


def _left_padded(prompts: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and attention mask of a batch. Shapes: (B, longest) each, int64."""
    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), pad)
    seen = torch.zeros(len(prompts), longest, dtype=torch.long)
    for k, prompt in enumerate(prompts):
        ids[k, longest - len(prompt) :] = torch.tensor(prompt)
        seen[k, longest - len(prompt) :] = 1
    return ids, seen


def _pick(logits: Tensor, rows: Sequence[_Sequence]) -> list[int]:
    """The next token of every row: the best, or one drawn from its nucleus. (B, V) -> B ids.

    The nucleus is the shortest head of the sorted shares that reaches ``top_p``. It is nearly
    always short, so only the best ``HEAD`` tokens are sorted, all rows at once; a row whose
    nucleus is longer is sorted whole.
    """
    logits = logits.masked_fill(torch.stack([row.closed() for row in rows]), -torch.inf)
    best: list[int] = logits.argmax(1).tolist()
    drawn = [k for k, row in enumerate(rows) if row.request.temperature > 0]
    if not drawn:
        return best
    heat = torch.tensor([[rows[k].request.temperature] for k in drawn])
    top_p = torch.tensor([[rows[k].request.top_p] for k in drawn])
    chance = torch.tensor([[rows[k].rng.random()] for k in drawn], dtype=torch.float32)
    shares = (logits[drawn] / heat).softmax(1)
    head, ids = shares.topk(min(HEAD, shares.shape[1]), dim=1)
    if bool((head.sum(1, keepdim=True) < top_p).any()):
        head, ids = shares.sort(dim=1, descending=True)
    mass = head.cumsum(1)
    size = (mass < top_p).sum(1, keepdim=True).clamp(max=mass.shape[1] - 1)
    place = torch.minimum((mass < chance * mass.gather(1, size)).sum(1, keepdim=True), size)
    for k, token in zip(drawn, ids.gather(1, place)[:, 0].tolist(), strict=True):
        best[k] = token
    return best
