"""One protocol for every language model that talks, and the four that speak it.

* ``TransformersLLM``: parley-small in this process; slots that have no evidence cannot
  be written, because the decoder masks them.
* ``EndpointLLM``: any OpenAI-compatible server (vLLM's included).
* ``BatchingLLM``: merges the calls of many threads into one batch of the model behind it.
* ``ScriptedLLM``: says what it is told; for tests.

``generate`` takes a batch and reports each completion the moment it is finished, so a
reply can be verified and shown unit by unit.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, Self

import httpx
import numpy as np
import tenacity
import torch
from torch import Tensor
from transformers import DynamicCache

from agent.errors import LLMError
from tools.small_model import LoadedModel, load_small
from tools.tokens import SLOTS, SPECIAL

OnText = Callable[[int, "Completion"], None]
HEAD = 256  # tokens that a draw looks at before it looks at all


@dataclass(frozen=True)
class Request:
    """One prompt and how to continue it.

    ``allowed_slots``: slot tokens that may be written, None for every slot there is.
    ``once_slots``: those of them that may be written at most once. ``stop``: strings at
    which the text ends (they are cut off). ``temperature`` 0 takes the best token.
    """

    prompt: str
    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    allowed_slots: frozenset[str] | None = None
    stop: tuple[str, ...] = ()
    once_slots: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Completion:
    """What the model wrote; slots stand literally, as ``<i1.title>``.

    ``finished`` is False where ``max_tokens`` cut it off. ``seconds`` run from the call.
    """

    text: str
    tokens: int
    prompt_tokens: int
    seconds: float
    finished: bool


class LLM(Protocol):
    """Anything that completes prompts."""

    def generate(
        self, requests: Sequence[Request], on_text: OnText | None = None
    ) -> list[Completion]:
        """Complete every request; ``on_text(k, completion)`` the moment request k is done.

        Raises:
            LLMError: the model cannot be reached or refuses; nothing is half done.
        """
        ...


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
        return _Sequence(
            index, request, length, forbidden, once, np.random.default_rng(request.seed)
        )

    def _advance(self, row: _Sequence, token: int, start: float) -> Completion | None:
        """Take one token in; the completion if it was the last."""
        request, finished = row.request, token == self.loaded.eos
        if not finished:
            row.ids.append(token)
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
    logits = logits.masked_fill(torch.stack([row.forbidden for row in rows]), -torch.inf)
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


class EndpointLLM:
    """An OpenAI-compatible chat endpoint. Requests of one batch run side by side.

    Too many requests, server errors and broken connections are tried again with growing
    pauses; anything else is an ``LLMError`` at once. Slots cannot be masked from here, so
    ``allowed_slots`` is the prompt's business and ``verify`` checks what comes back.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        attempts: int = 4,
        parallel: int = 8,
        pause: float = 0.5,
    ) -> None:
        self.model, self.parallel = model, parallel
        self.url = base_url.rstrip("/")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(base_url=self.url, headers=headers, timeout=timeout)
        self._retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(attempts),
            wait=tenacity.wait_exponential_jitter(multiplier=pause, max=8, jitter=pause),
            retry=tenacity.retry_if_exception(_worth_retrying),
            reraise=True,
        )

    def generate(
        self, requests: Sequence[Request], on_text: OnText | None = None
    ) -> list[Completion]:
        """See ``LLM.generate``."""
        done: dict[int, Completion] = {}
        with ThreadPoolExecutor(max(1, min(self.parallel, len(requests)))) as pool:
            futures = {pool.submit(self._complete, r): i for i, r in enumerate(requests)}
            for future in as_completed(futures):
                index = futures[future]
                done[index] = future.result()
                if on_text is not None:
                    on_text(index, done[index])
        return [done[i] for i in range(len(requests))]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _complete(self, request: Request) -> Completion:
        start = time.perf_counter()
        body: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "user", "content": request.prompt}],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        try:
            payload = self._retrying(self._post, body).json()
            choice, usage = payload["choices"][0], payload.get("usage") or {}
            text = choice["message"]["content"] or ""
        except httpx.HTTPStatusError as error:
            raise LLMError(
                f"{self.url} answered {error.response.status_code} for model {self.model!r}: "
                f"{error.response.text[:200]!r}; check PARLEY_ENDPOINT_URL, _MODEL and _KEY"
            ) from error
        except httpx.HTTPError as error:
            raise LLMError(
                f"{self.url} cannot be reached ({type(error).__name__}: {error}); "
                "start the server or unset PARLEY_ENDPOINT_URL"
            ) from error
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise LLMError(
                f"{self.url} answered something that is no chat completion ({error!r}); "
                "is it an OpenAI-compatible server?"
            ) from error
        return Completion(
            text=text.strip(),
            tokens=int(usage.get("completion_tokens") or 0),
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            seconds=time.perf_counter() - start,
            finished=choice.get("finish_reason") != "length",
        )

    def _post(self, body: dict[str, object]) -> httpx.Response:
        response = self._client.post("/chat/completions", json=body)
        response.raise_for_status()
        return response


def _worth_retrying(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)


class ScriptedLLM:
    """Says the given replies in order and remembers what it was asked; for tests.

    Raises:
        LLMError: asked for more replies than it was given.
    """

    def __init__(self, replies: Sequence[str]) -> None:
        self._replies = list(replies)
        self.requests: list[Request] = []

    def generate(
        self, requests: Sequence[Request], on_text: OnText | None = None
    ) -> list[Completion]:
        """See ``LLM.generate``."""
        completions = []
        for index, request in enumerate(requests):
            if not self._replies:
                raise LLMError(
                    f"the script is over after {len(self.requests)} replies; give it more"
                )
            self.requests.append(request)
            text = self._replies.pop(0)
            completions.append(Completion(text, len(text.split()), 0, 0.0, True))
            if on_text is not None:
                on_text(index, completions[-1])
        return completions


@dataclass
class _Call:
    """One caller's batch, waiting. ``out`` brings (index, completion), an error, or None."""

    requests: list[Request]
    out: "queue.SimpleQueue[tuple[int, Completion] | BaseException | None]"
    arrived: float


class BatchingLLM:
    """Merges concurrent ``generate`` calls into batches of the model behind it.

    One worker thread owns the model. A call waits at most ``window`` seconds for company.
    Callbacks run in the caller's own thread, so slow or failing callers hold up nobody.
    """

    def __init__(self, inner: LLM, *, window: float = 0.004, limit: int = 32) -> None:
        self.inner, self.window, self.limit = inner, window, limit
        self.batches: list[int] = []  # sizes, newest last; for benchmarks and tests
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._work, name="parley-llm", daemon=True)
        self._worker.start()

    def generate(
        self, requests: Sequence[Request], on_text: OnText | None = None
    ) -> list[Completion]:
        """See ``LLM.generate``."""
        if not requests:
            return []
        if not self._worker.is_alive():
            raise LLMError("this BatchingLLM is closed; make a new one")
        call = _Call(list(requests), queue.SimpleQueue(), time.perf_counter())
        self._calls.put(call)
        done: dict[int, Completion] = {}
        while len(done) < len(requests):
            message = call.out.get()
            if message is None:
                raise LLMError("this BatchingLLM was closed while a call waited")
            if isinstance(message, BaseException):
                raise message
            index, completion = message
            if index in done:  # its batch was begun anew because of another caller's request
                continue
            done[index] = completion
            if on_text is not None:
                on_text(index, completion)
        return [done[i] for i in range(len(requests))]

    def close(self) -> None:
        """Finish the running batch and stop; waiting calls get an ``LLMError``."""
        self._calls.put(None)
        self._worker.join()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            batch, closing = self._gather(call)
            self._run(batch)
            if closing:
                break
        while not self._calls.empty():
            left = self._calls.get()
            if left is not None:
                left.out.put(None)

    def _gather(self, first: _Call) -> tuple[list[_Call], bool]:
        """The first call and those that join it within the window."""
        batch, size = [first], len(first.requests)
        deadline = first.arrived + self.window
        while size < self.limit:
            try:
                call = self._calls.get(timeout=max(0.0, deadline - time.perf_counter()))
            except queue.Empty:
                break
            if call is None:
                return batch, True
            batch.append(call)
            size += len(call.requests)
        return batch, False

    def _run(self, batch: list[_Call]) -> None:
        owners = [(call, i) for call in batch for i in range(len(call.requests))]
        self.batches.append(len(owners))

        def pass_on(k: int, completion: Completion) -> None:
            call, index = owners[k]
            waited = time.perf_counter() - call.arrived
            call.out.put((index, replace(completion, seconds=waited)))

        try:
            self.inner.generate([r for call in batch for r in call.requests], pass_on)
        except BaseException as error:
            if len(batch) == 1:
                batch[0].out.put(error)
                return
            # One caller's bad request is no reason for the others to fail: each on its own.
            # What was passed on already comes again, the same: callers keep the first.
            for call in batch:
                self._run([call])
