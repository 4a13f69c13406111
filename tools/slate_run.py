"""Slates of several requests being written side by side.

All beams of all requests are one forward pass, the beams of one request being tokens of one
row that do not see each other (``tools.slate_forward``), and one call of the mask
(``catalog.trie_batch``). When an item is chosen its first two tokens are kept in the cache, the
other beams' are forgotten, its last token is fed: three passes an item, whatever the number of
requests. A crowded catalogue's fourth code only tells twins apart: the model has no word for
it, the prior chooses.

``tools.slate_decoder`` is the way in.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from catalog.trie import Filter, SlateMask
from tools.slate_forward import Prefixes
from tools.small_model import LoadedModel
from tools.tokens import CODES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
WRITTEN = 3  #: levels that are tokens of the model


class SlateResult(NamedTuple):
    """A slate in rank order.

    ``rows``: catalogue rows. ``logprobs``: log-probability of each item under the masked,
    prior-weighted, renormalised distribution, given the items before it. ``steps``: number
    of forward passes, the prompt's included, shared with the other requests of a batch.
    """

    rows: list[int]
    logprobs: list[float]
    steps: int


@dataclass(frozen=True, eq=False)
class SlateRequest:
    """One slate to write; the fields are the arguments of ``SlateEngine.slate``."""

    prompt: list[int]
    weights: npt.NDArray[Any]
    n: int
    alpha: float = 1.0
    beam: int = 6
    temperature: float = 0.0
    seed: int | None = None


class Beams(NamedTuple):
    """Started items of all running requests. Shapes: ``(R, W)``; a dead beam has -inf.

    ``nodes``: of the mask. ``codes``: the last one written. ``places``: where the tokens of
    each level stand in the cache, ``(R, W, levels fed)``.
    """

    scores: Floats
    nodes: Ints
    codes: Ints
    places: Ints

    def only(self, rows: npt.NDArray[np.bool_]) -> "Beams":
        """The beams of these requests."""
        return Beams(self.scores[rows], self.nodes[rows], self.codes[rows], self.places[rows])


class Run:
    """Requests of one beam width being decoded side by side."""

    def __init__(
        self,
        loaded: LoadedModel,
        mask: SlateMask,
        requests: list[SlateRequest],
        filters: list[Filter],
        lm_scale: float = 1.0,
    ) -> None:
        self.loaded, self.mask, self.scale = loaded, mask, lm_scale
        self.requests = requests
        self.beam = requests[0].beam
        self.batch = self.mask.batch(filters)
        self.wanted = np.array(
            [min(r.n, f.allowed) for r, f in zip(requests, filters, strict=True)]
        )
        self.rngs = [np.random.default_rng(request.seed) for request in requests]
        self.rows: list[list[int]] = [[] for _ in requests]
        self.logprobs: list[list[float]] = [[] for _ in requests]
        self.steps = [1] * len(requests)
        #: the requests still running, in the order of the cache's rows
        self.running: Ints = np.arange(len(requests))
        self.lengths = np.array([len(request.prompt) for request in requests])
        table = self.loaded.model.lm_head.weight
        base = self.loaded.sid_base
        self.tables = [table[base + CODES * k : base + CODES * (k + 1)].T for k in range(WRITTEN)]

    @torch.inference_mode()
    def slates(self) -> list[SlateResult]:
        prompts = [request.prompt for request in self.requests]
        # Beside its prompt and items a row holds the beams of one unfinished item.
        room = WRITTEN * int(self.wanted.max()) + (WRITTEN - 1) * self.beam
        cache = Prefixes(self.loaded, [len(prompt) for prompt in prompts], room)
        hidden = cache.prompt(prompts)
        while len(self.running):
            best, last = self._item(cache, hidden)
            self._emit(best)
            more = np.array([len(self.rows[i]) for i in self.running]) < self.wanted[self.running]
            if not more.all():
                self.running, last = self.running[more], last[more]
                best = best.only(more)
                cache.keep(torch.from_numpy(np.flatnonzero(more)))
            if len(self.running):
                hidden = self._append(cache, best, last)
        return [
            SlateResult(*parts) for parts in zip(self.rows, self.logprobs, self.steps, strict=True)
        ]

    def _item(self, cache: Prefixes, hidden: Tensor) -> tuple[Beams, Ints]:
        """The best next item of every running request, and its last written code ``(R, 1)``."""
        count, base = len(self.running), cache.filled
        beams = Beams(
            np.zeros((count, 1)),
            np.zeros((count, 1), dtype=np.int64),
            np.zeros((count, 1), dtype=np.int64),
            np.zeros((count, 1, 0), dtype=np.int64),
        )
        states = hidden[:, None]
        for level in range(self.mask.levels):
            width = 1 if level == self.mask.levels - 1 else self.beam
            beams, parents = self._expand(beams, states, level, width)
            if level + 1 < WRITTEN:
                states, beams = self._feed(cache, beams, level, base)
            elif level + 1 == WRITTEN:
                last = beams.codes
            else:
                last = np.take_along_axis(last, parents, axis=1)
        cache.filled = base
        return beams, last

    def _expand(self, beams: Beams, states: Tensor, level: int, width: int) -> tuple[Beams, Ints]:
        """The ``width`` best continuations of all beams of each request, best first."""
        row, column = np.nonzero(beams.scores > -np.inf)
        owners = self.running[row]
        step = self.batch.step(level, owners, beams.nodes[row, column])
        alphas = np.array([self.requests[i].alpha for i in owners])[:, None]
        open_ = step.weights > 0
        scores = np.full(open_.shape, -np.inf)
        np.log(step.weights, out=scores, where=open_)
        np.multiply(scores, alphas, out=scores, where=open_)
        if level < WRITTEN:
            logits = states[torch.from_numpy(row), torch.from_numpy(column)] @ self.tables[level]
            scores += logits.double().numpy() * self.scale
        scores -= np.logaddexp.reduce(scores, axis=1)[:, None]
        shape = (*beams.scores.shape, CODES)
        total, child = np.full(shape, -np.inf), np.zeros(shape, dtype=np.int64)
        total[row, column] = scores + beams.scores[row, column][:, None]
        child[row, column] = step.children
        flat = total.reshape(len(total), -1)
        picks = self._drawn(scores) if self._samples() else _best(flat, width)
        parents, codes = np.divmod(picks, CODES)
        return Beams(
            np.take_along_axis(flat, picks, axis=1),
            np.take_along_axis(child.reshape(len(child), -1), picks, axis=1),
            codes,
            np.take_along_axis(beams.places, parents[:, :, None], axis=1),
        ), parents

    def _samples(self) -> bool:
        return any(self.requests[i].temperature > 0 for i in self.running)

    def _drawn(self, scores: Floats) -> Ints:
        """One draw a request, from its own generator: neighbours change nothing."""
        picks = np.zeros((len(scores), 1), dtype=np.int64)
        for row, (request, line) in enumerate(zip(self.running, scores, strict=True)):
            temperature = self.requests[request].temperature
            open_ = np.flatnonzero(line > -np.inf)
            values = line[open_]
            if temperature > 0:
                noise = self.rngs[request].gumbel(size=len(open_))
                values = values / temperature + noise
            picks[row, 0] = open_[np.argmax(values)]
        return picks

    def _feed(self, cache: Prefixes, beams: Beams, level: int, base: int) -> tuple[Tensor, Beams]:
        """Run the beams' new tokens; each sees its request's past and its own tokens only."""
        count, width = beams.codes.shape
        first = cache.filled
        own = np.broadcast_to(first + np.arange(width), (count, width))
        places = np.concatenate([beams.places, own[:, :, None]], axis=2)
        place = np.arange(first + width)
        seen = (place >= cache.start.numpy()[:, None, None]) & (place < base)
        seen = np.repeat(seen, width, axis=1)
        np.put_along_axis(seen, places, True, axis=2)
        at = np.repeat(self._length()[:, None] + level, width, axis=1)
        states = self._pass(cache, beams.codes, level, at, seen)
        return states, beams._replace(places=places)

    def _append(self, cache: Prefixes, best: Beams, last: Ints) -> Tensor:
        """Put the chosen items behind the prompts; their first two tokens were fed as beams."""
        base = cache.filled
        cache.fold(base, torch.from_numpy(best.places[:, 0]))
        place = np.arange(cache.filled + 1)
        seen = (place >= cache.start.numpy()[:, None])[:, None]
        level = WRITTEN - 1
        # This item is counted among the written ones already, so its last token is the end.
        states = self._pass(cache, last, level, self._length()[:, None] - 1, seen)
        return states[:, 0]

    def _pass(
        self, cache: Prefixes, codes: Ints, level: int, at: Ints, seen: npt.NDArray[np.bool_]
    ) -> Tensor:
        for request in self.running:
            self.steps[request] += 1
        tokens = torch.from_numpy(self.loaded.sid_base + CODES * level + codes)
        return cache.feed(tokens, torch.from_numpy(at), torch.from_numpy(seen))

    def _length(self) -> Ints:
        """Tokens of each running row: its prompt and its finished items."""
        written = np.array([len(self.rows[i]) for i in self.running])
        length: Ints = self.lengths[self.running] + WRITTEN * written
        return length

    def _emit(self, best: Beams) -> None:
        self.batch.emit(self.running, best.nodes[:, 0])
        for request, row, score in zip(
            self.running, self.mask.order[best.nodes[:, 0]], best.scores[:, 0], strict=True
        ):
            self.rows[request].append(int(row))
            self.logprobs[request].append(float(score))


def _best(scores: Floats, width: int) -> Ints:
    """Places of the ``width`` largest of each row, best first, the earlier one on a tie."""
    if width == 1:
        first: Ints = scores.argmax(axis=1)
        return first[:, None]
    best: Ints = np.argsort(-scores, axis=1, kind="stable")[:, :width]
    return best
