"""Write a slate of items under the slate mask, in this process.

An item is three code tokens. At every level the model's logits on that level's 256 rows
meet the prior: ``alpha * log(mass of the child)``, where the mass is the sum of the
weights of the allowed items below it that this slate has not emitted. So P(item) is
LM x prior, marginalised exactly over the trie; forbidden items have no mass and cannot
be written. Beams are over the tokens of one item: the best item is taken, its tokens
join the prompt, the next item follows. ``beam=1`` is plain greedy decoding.

    engine = InProcessSlates(load_small(folder), SlateMask(codes))
    engine.slate(prompt_ids, weights, 10).rows
"""

import copy
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import DynamicCache

from catalog.errors import SlateError
from catalog.trie import Narrowed, SlateMask
from tools.small_model import LoadedModel
from tools.tokens import CODES

Floats = npt.NDArray[np.float64]


class SlateResult(NamedTuple):
    """A slate in rank order.

    ``rows``: catalogue rows. ``logprobs``: log-probability of each item under the masked,
    prior-weighted, renormalised distribution, given the items before it. ``steps``: number
    of forward passes, the prompt's included.
    """

    rows: list[int]
    logprobs: list[float]
    steps: int


class SlateEngine(Protocol):
    """Whatever can order items under a mask: in-process here, vLLM on a server."""

    def slate(
        self,
        prompt: list[int],
        weights: Floats,
        n: int,
        *,
        alpha: float = 1.0,
        beam: int = 6,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> SlateResult:
        """The n best items, fewer if fewer are allowed.

        Args:
            prompt: token ids, ending where the first code is to be written.
            weights: shape (N,), catalogue row order; the prior, 0 = forbidden.
            alpha: strength of the prior; 0 leaves the mask alone.
            beam: beams over the tokens of one item; 1 is greedy.
            temperature: 0 takes the best; above 0 samples (with ``beam=1`` only).
            seed: of the sampling.

        Raises:
            SlateError: nothing is allowed, or an argument is out of its range.
        """
        ...


class Hypothesis(NamedTuple):
    """A started item: its codes, log-probability, and node ``[lo, hi)``."""

    codes: tuple[int, ...]
    logprob: float
    lo: int
    hi: int


class InProcessSlates:
    """The masked decoder over a loaded parley-small. Safe to call from several threads.

    ``lm_scale`` multiplies the model's logits: 0 leaves the prior alone (an ablation).
    """

    def __init__(self, loaded: LoadedModel, mask: SlateMask, *, lm_scale: float = 1.0) -> None:
        if mask.levels != 3:
            raise SlateError(f"The codes have {mask.levels} levels; this decoder writes 3.")
        self.loaded = loaded
        self.mask = mask
        self.lm_scale = lm_scale

    @torch.inference_mode()
    def slate(
        self,
        prompt: list[int],
        weights: Floats,
        n: int,
        *,
        alpha: float = 1.0,
        beam: int = 6,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> SlateResult:
        """See ``SlateEngine.slate``."""
        if not prompt or n < 1 or beam < 1:
            raise SlateError(f"prompt of {len(prompt)} tokens, n={n}, beam={beam}: each needs 1.")
        if temperature > 0 and beam != 1:
            raise SlateError(f"temperature {temperature} samples, which beam={beam} cannot; use 1.")
        view = self.mask.narrow(weights)
        if view.left == 0:
            raise SlateError("No item is allowed: relax a constraint before asking for a slate.")
        run = _Run(self, view, alpha, beam, temperature, np.random.default_rng(seed))
        hidden = run.feed(torch.tensor([prompt]), run.cache)
        rows: list[int] = []
        logprobs: list[float] = []
        for rank in range(min(n, view.left)):
            item = run.item(hidden)
            row = int(self.mask.order[item.lo])
            view.emit(row)
            rows.append(row)
            logprobs.append(item.logprob)
            if rank + 1 < min(n, len(rows) + view.left):
                hidden = run.append(item)
        return SlateResult(rows, logprobs, run.steps)


class _Run:
    """One slate being written: the prompt's cache, the view of the mask, the dials."""

    def __init__(
        self,
        engine: InProcessSlates,
        view: Narrowed,
        alpha: float,
        beam: int,
        temperature: float,
        rng: np.random.Generator,
    ) -> None:
        self.loaded, self.lm_scale = engine.loaded, engine.lm_scale
        self.view, self.alpha, self.beam = view, alpha, beam
        self.temperature, self.rng = temperature, rng
        self.cache = DynamicCache(config=self.loaded.model.config)
        self.steps = 0

    def feed(self, tokens: Tensor, cache: DynamicCache) -> Tensor:
        """Run tokens through the model. Shape: (B, L) -> last hidden state (B, hidden)."""
        self.steps += 1
        out = self.loaded.model.model(tokens, past_key_values=cache, use_cache=True)
        hidden: Tensor = out.last_hidden_state[:, -1]
        return hidden

    def item(self, hidden: Tensor) -> Hypothesis:
        """The best (or a sampled) next item after the fed prefix; hidden is (1, H)."""
        beams = [Hypothesis((), 0.0, 0, len(self.view.mask))]
        cache = self.cache
        for level in range(3):
            scored = self._expand(beams, hidden, level)
            parents = [parent for parent, _ in scored]
            beams = [hypothesis for _, hypothesis in scored]
            if level == 2:
                break
            if self.beam > 1:
                # The prompt's own cache must outlive the beams, so the first level copies it.
                cache = copy.deepcopy(cache) if level == 0 else cache
                cache.batch_select_indices(torch.tensor(parents))
            tokens = [[self._id(level, h.codes[-1])] for h in beams]
            hidden = self.feed(torch.tensor(tokens), cache)
        return beams[0]

    def append(self, item: Hypothesis) -> Tensor:
        """Put a finished item behind the prompt; greedy has fed all but its last token."""
        start = 0 if self.beam > 1 else 2
        ids = [self._id(level, item.codes[level]) for level in range(start, 3)]
        return self.feed(torch.tensor([ids]), self.cache)

    def _id(self, level: int, code: int) -> int:
        return self.loaded.sid_base + CODES * level + code

    def _expand(
        self, beams: list[Hypothesis], hidden: Tensor, level: int
    ) -> list[tuple[int, Hypothesis]]:
        """The best continuations of all beams, best first, each with its parent's index."""
        first = self._id(level, 0)
        table = self.loaded.model.lm_head.weight[first : first + CODES]
        logits = (hidden @ table.T).double().numpy() * self.lm_scale
        found: list[tuple[int, Hypothesis]] = []
        for parent, beam in enumerate(beams):
            kids = self.view.children(level, beam.lo, beam.hi)
            scores = logits[parent, kids.tokens] + self.alpha * np.log(kids.weights)
            scores -= np.logaddexp.reduce(scores)
            if self.temperature > 0:
                noise = self.rng.gumbel(size=len(scores))
                picks = np.argmax(scores / self.temperature + noise, keepdims=True)
            else:
                picks = np.argsort(-scores, kind="stable")[: self.beam]
            found += [
                (
                    parent,
                    Hypothesis(
                        (*beam.codes, int(kids.tokens[k])),
                        beam.logprob + float(scores[k]),
                        int(kids.los[k]),
                        int(kids.his[k]),
                    ),
                )
                for k in picks
            ]
        found.sort(key=lambda pair: -pair[1].logprob)
        return found[: self.beam]
