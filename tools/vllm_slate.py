"""The slate mask inside vLLM: a V1 logits processor, chosen per request through ``vllm_xargs``.

* ``{"slate": "<JSON>"}``: the request writes semantic IDs under the mask of the catalogue,
  its clauses, rules, exclusions and prior (``tools.slate_wire``); then the end.
* ``{"reply": "<JSON>"}``: the request writes words; of the special tokens only its slots.
* neither: a prompt that begins with ``<task:slate>`` is masked with the whole catalogue (beam
  search drops ``vllm_xargs``), any other writes words and slots, never a code.

What is wrong with a request is said as HTTP 400 before it runs. Should it go wrong later all
the same, its only open token is the end: a mask never opens.

    vllm serve MODEL --logits-processors tools.vllm_slate:SlateProcessor

Imported by vLLM only; ``python -m agent.serve`` starts it with everything it needs.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

from catalog.errors import ParleyError
from tools.slate_view import CODES, Walk
from tools.slate_wire import REPLY, SLATE, Reply, Request
from tools.vllm_catalog import Shelf, Vocabulary

log = logging.getLogger("vllm.parley")
UNLIMITED = 10_000  # items of a slate whose request does not say how many


@lru_cache(maxsize=1)
def shelf() -> Shelf:
    """This process's catalogues."""
    return Shelf.of_environment()


class Slate:
    """A request that writes items."""

    def __init__(self, walk: Walk | None, output: list[int]) -> None:
        self.walk, self.output = walk, output

    def ready(self) -> bool:
        """Take in what was written; whether anything but the end may come next."""
        assert self.walk is not None
        self.walk.read(self.output)
        return self.walk.open() is not None


class Words:
    """A request that writes words; ``closed``: special tokens that are off, ``(S,)`` bool."""

    def __init__(self, closed: Tensor, once: frozenset[int], output: list[int]) -> None:
        self.closed, self.once, self.output = closed, once, output
        self._read = 0

    def now(self, first: int) -> Tensor:
        """What is closed after the tokens written so far."""
        if self.once:
            used = [token - first for token in self.output if token in self.once]
            if used:
                closed = self.closed.clone()
                closed[used] = True
                return closed
        return self.closed


class SlateProcessor(LogitsProcessor):  # type: ignore[misc]  # vLLM is not there when types are
    """One instance an engine; ``requests``: batch row -> what it may write."""

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Raises ``ValueError``, which vLLM answers as HTTP 400."""
        sent = sampling_params.extra_args or {}
        if SLATE not in sent and REPLY not in sent:
            return
        try:
            shelf().check(sent.get(SLATE), sent.get(REPLY))
        except ParleyError as error:
            raise ValueError(str(error)) from error

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self.device = device
        self.words: Vocabulary | None = shelf().words
        self.requests: dict[int, Slate | Words] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow vLLM's batch: who left, who came, who moved."""
        if batch_update is None or self.words is None:
            return
        for index in batch_update.removed:
            self.requests.pop(index, None)
        for index, params, prompt, output in batch_update.added:
            self.requests[index] = self._begin(params.extra_args or {}, prompt or [], output)
        for source, target, direction in batch_update.moved:
            moved, other = self.requests.pop(source, None), self.requests.pop(target, None)
            if moved is not None:
                self.requests[target] = moved
            if other is not None and direction == MoveDirectionality.SWAP:
                self.requests[source] = other

    def _begin(self, sent: dict[str, Any], prompt: list[int], output: list[int]) -> Slate | Words:
        assert self.words is not None
        try:
            if SLATE in sent or (prompt and prompt[0] == self.words.task_slate):
                return self._slate(sent.get(SLATE), prompt, output)
            reply = Reply.read(sent[REPLY]) if REPLY in sent else Reply()
            return Words(*self._closed(reply), output)
        except ParleyError as error:
            # The API process let it pass, so something changed meanwhile: nothing is open.
            log.error("a request is ended: %s", error)
            return Slate(None, output)

    def _slate(self, text: object, prompt: list[int], output: list[int]) -> Slate:
        assert self.words is not None
        request = Request.read(text) if text is not None else None
        view = shelf().named(request.catalog if request else "").view(request or Request())
        starts = [k for k, token in enumerate(prompt) if token == self.words.out]
        head = prompt[starts[-1] + 1 :] if starts else []
        n = request.n if request else UNLIMITED
        walk = Walk(view, n, self.words.sid_base, head)
        if request is not None and request.prior is not None:
            walk.strength = request.prior.strength
        return Slate(walk, output)

    def _closed(self, reply: Reply) -> tuple[Tensor, frozenset[int]]:
        words = self.words
        assert words is not None
        closed = torch.ones(words.size, dtype=torch.bool)
        open_ = words.slots if reply.slots is None else reply.slots
        closed[[words.slots[slot] - words.first for slot in open_]] = False
        closed[words.eos - words.first] = False
        return closed, frozenset(words.slots[slot] for slot in reply.once)

    def apply(self, logits: Tensor) -> Tensor:
        """Mask every row of the batch. Shape: ``(B, V)``, in place."""
        if self.words is None or not self.requests:
            return logits
        words = self.words
        slates: dict[int, list[tuple[int, Walk]]] = {}
        ended: list[int] = []
        texts: list[int] = []
        for row, request in self.requests.items():
            if row >= len(logits):
                continue
            if isinstance(request, Words):
                texts.append(row)
            elif request.walk is not None and request.ready():
                slates.setdefault(request.walk.level, []).append((row, request.walk))
            else:
                ended.append(row)
        for level, rows in slates.items():
            self._write(logits, words.sid_base + CODES * level, rows)
        if ended:
            logits[ended] = -torch.inf
            logits[ended, words.eos] = 0.0
        if texts:
            states = [self.requests[row] for row in texts]
            closed = torch.stack([s.now(words.first) for s in states if isinstance(s, Words)])
            part = logits[texts, words.first : words.first + words.size]
            logits[texts, words.first : words.first + words.size] = part.masked_fill(
                closed.to(logits.device), -torch.inf
            )
        return logits

    @staticmethod
    def _write(logits: Tensor, first: int, rows: list[tuple[int, Walk]]) -> None:
        """Leave the open codes of one level their logits, and add the prior to them."""
        table = np.zeros((len(rows), CODES))
        alphas, strengths = np.empty((len(rows), 1)), np.empty((len(rows), 1), dtype=np.float32)
        for k, (_, walk) in enumerate(rows):
            found = walk.open()
            assert found is not None  # ``ready`` said so
            table[k, found[0]] = found[1]
            alphas[k], strengths[k] = walk.view.alpha, walk.strength
        logs = np.full(table.shape, -np.inf)
        np.log(table, out=logs, where=table > 0)
        np.multiply(logs, alphas, out=logs, where=table > 0)  # 0 times -inf would be open
        added = torch.from_numpy(logs.astype(np.float32)).to(logits.device, non_blocking=True)
        at = torch.tensor([row for row, _ in rows], device=logits.device)
        part = logits[:, first : first + CODES]
        said = torch.from_numpy(strengths).to(logits.device)
        added += part.index_select(0, at) * said
        logits.index_fill_(0, at, -torch.inf)
        part.index_copy_(0, at, added)
