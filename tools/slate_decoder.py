"""Write slates of items under the slate mask, in this process, many requests at once.

An item is three code tokens. At every level the model's logits on that level's 256 rows
meet the prior: ``alpha * log(mass of the child)``, where the mass is the sum of the
weights of the allowed items below it that this slate has not emitted. So P(item) is
LM x prior, marginalised exactly over the trie; forbidden items have no mass and cannot
be written. Beams are over the tokens of one item: the best item is taken, its tokens
join the prompt, the next item follows. ``beam=1`` is plain greedy decoding.

Requests are decoded side by side in shared forward passes (``tools.slate_run``).

    engine = InProcessSlates(load_small(folder), SlateMask(codes))
    engine.slate(prompt_ids, weights, 10).rows
    engine.slates([SlateRequest(prompt_ids, weights, 10), ...])
    shared = BatchingSlates(engine)      # the same calls from many threads share passes
"""

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from catalog.errors import SlateError
from catalog.trie import Filter, SlateMask
from tools.slate_run import WRITTEN, Run, SlateRequest, SlateResult
from tools.small_model import LoadedModel

__all__ = ["BatchingSlates", "InProcessSlates", "SlateEngine", "SlateRequest", "SlateResult"]

Floats = npt.NDArray[np.float64]


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


class ByRequest(ABC):
    """An engine that takes the arguments of ``SlateEngine.slate`` as one request."""

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
        return self.one(SlateRequest(prompt, weights, n, alpha, beam, temperature, seed))

    @abstractmethod
    def one(self, request: SlateRequest) -> SlateResult:
        """The slate of one request, as ``SlateEngine.slate`` describes it."""


class InProcessSlates(ByRequest):
    """The masked decoder over a loaded parley-small. Safe to call from several threads.

    ``lm_scale`` multiplies the model's logits: 0 leaves the prior alone (an ablation).
    """

    def __init__(self, loaded: LoadedModel, mask: SlateMask, *, lm_scale: float = 1.0) -> None:
        if mask.levels not in (WRITTEN, WRITTEN + 1):
            raise SlateError(
                f"The codes have {mask.levels} levels; this decoder writes {WRITTEN}, and one "
                "more that tells twins apart."
            )
        self.loaded = loaded
        self.mask = mask
        self.lm_scale = lm_scale

    def one(self, request: SlateRequest) -> SlateResult:
        """See ``ByRequest``."""
        return self.slates([request])[0]

    def slates(self, requests: Sequence[SlateRequest]) -> list[SlateResult]:
        """Many slates in shared forward passes; each is what ``slate`` alone would give.

        Raises:
            SlateError: one of the requests cannot be served; none is then.
        """
        filters: dict[int, Filter] = {}
        for request in requests:
            if id(request.weights) not in filters:
                filters[id(request.weights)] = self.mask.filter(request.weights)
            check(request, filters[id(request.weights)])
        return self.decode(requests, [filters[id(r.weights)] for r in requests])

    def decode(
        self, requests: Sequence[SlateRequest], filters: Sequence[Filter]
    ) -> list[SlateResult]:
        """``slates`` of requests that were checked against their filters."""
        done: dict[int, SlateResult] = {}
        for beam in sorted({request.beam for request in requests}):
            which = [i for i, request in enumerate(requests) if request.beam == beam]
            group = [requests[i] for i in which], [filters[i] for i in which]
            run = Run(self.loaded, self.mask, *group, lm_scale=self.lm_scale)
            done |= zip(which, run.slates(), strict=True)
        return [done[i] for i in range(len(requests))]


def check(request: SlateRequest, filter: Filter) -> None:
    """``SlateError`` when a request is out of its range or nothing is allowed."""
    prompt, n, beam = request.prompt, request.n, request.beam
    if not prompt or n < 1 or beam < 1:
        raise SlateError(f"prompt of {len(prompt)} tokens, n={n}, beam={beam}: each needs 1.")
    if request.temperature > 0 and beam != 1:
        raise SlateError(
            f"temperature {request.temperature} samples, which beam={beam} cannot; use 1."
        )
    if filter.allowed == 0:
        raise SlateError("No item is allowed: relax a constraint before asking for a slate.")


@dataclass(eq=False)
class _Call:
    """One caller's request, waiting."""

    request: SlateRequest
    filter: Filter
    result: SlateResult | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.result is not None or self.error is not None


class BatchingSlates(ByRequest):
    """Merges concurrent ``slate`` calls into batches of the decoder behind it.

    There is no worker thread and no waiting for company: whoever comes first decodes for all
    who wait, and those who come meanwhile are the next batch. So one chat alone loses nothing,
    and an engine that is no longer used leaves no thread behind.
    """

    def __init__(self, inner: InProcessSlates, *, limit: int = 16) -> None:
        self.inner, self.limit = inner, limit
        self.batches: deque[int] = deque(maxlen=1000)  # sizes, newest last; for benchmarks
        self._waiting: list[_Call] = []
        self._busy = False
        self._turn = threading.Condition()

    def one(self, request: SlateRequest) -> SlateResult:
        """See ``ByRequest``."""
        # In the caller's own thread: a bad request fails its caller, not its neighbours.
        call = _Call(request, self.inner.mask.filter(request.weights))
        check(request, call.filter)
        with self._turn:
            self._waiting.append(call)
        while (batch := self._next(call)) is not None:
            self._decode(batch)
        if call.error is not None:
            raise call.error
        assert call.result is not None  # a call without error has one
        return call.result

    def slates(self, requests: Sequence[SlateRequest]) -> list[SlateResult]:
        """See ``InProcessSlates.slates``: a batch of its own."""
        return self.inner.slates(requests)

    def _next(self, call: _Call) -> list[_Call] | None:
        """The batch to decode, as soon as it is this caller's turn; None once it is served."""
        with self._turn:
            self._turn.wait_for(lambda: call.done or not self._busy)
            if call.done:
                return None
            self._busy = True
            batch, self._waiting = self._waiting[: self.limit], self._waiting[self.limit :]
            return batch

    def _decode(self, batch: list[_Call]) -> None:
        try:
            results = self.inner.decode([c.request for c in batch], [c.filter for c in batch])
            for call, result in zip(batch, results, strict=True):
                call.result = result
        except BaseException as error:
            for call in batch:
                call.error = error
        with self._turn:
            self.batches.append(len(batch))
            self._busy = False
            self._turn.notify_all()
