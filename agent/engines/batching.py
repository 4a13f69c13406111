"""Many callers, one model: concurrent calls merged into batches."""

import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.engines.protocol import LLM, Completion, OnText, Request
from agent.errors import LLMError


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
