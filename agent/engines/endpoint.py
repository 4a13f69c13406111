"""A language model behind an OpenAI-compatible server, vLLM's included.

Two ways to ask. A model that was trained with Parley's tokens (``ours``) gets its prompt as it
is, through ``/completions``, and the slots that may be written as a mask (``tools.vllm_slate``).
Any other model is asked in words, through ``/chat/completions``; slots cannot be masked from
here, so they are the prompt's business and ``verify`` checks what comes back.
"""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from agent.engines.http import Endpoint, Refused
from agent.engines.protocol import Completion, OnText, Request
from agent.errors import LLMError


class EndpointLLM:
    """Requests of one batch run side by side. ``schema``: can the server hold to one?"""

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
        ours: bool = False,
        schema: bool = True,
        setting: str = "PARLEY_ENDPOINT_URL",
    ) -> None:
        self.model, self.parallel, self.ours, self.schema = model, parallel, ours, schema
        self.endpoint = Endpoint(
            base_url, api_key, timeout=timeout, attempts=attempts, pause=pause, setting=setting
        )
        self.url = self.endpoint.url

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
        self.endpoint.close()

    def _complete(self, request: Request) -> Completion:
        start = time.perf_counter()
        path = "/completions" if self.ours else "/chat/completions"
        try:
            payload = self.endpoint.post(path, self._body(request), seconds=request.seconds)
            choice, usage = payload["choices"][0], payload.get("usage") or {}
            text = (choice["text"] if self.ours else choice["message"]["content"]) or ""
            if not isinstance(text, str):
                raise TypeError(f"the text is {text!r}")
        except Refused as error:
            raise LLMError(
                f"{self.url} answered {error.status} for model {self.model!r}: {error.text!r}; "
                f"check {self.endpoint.setting}, the model's name and the key"
            ) from error
        except (KeyError, IndexError, TypeError, AttributeError) as error:
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

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if not self.ours:
            body["messages"] = [{"role": "user", "content": request.prompt}]
            if request.schema is not None and self.schema:
                named = {"name": "answer", "schema": request.schema}
                body["response_format"] = {"type": "json_schema", "json_schema": named}
            return body
        body["prompt"] = request.prompt
        body["add_special_tokens"] = False
        body["skip_special_tokens"] = body["spaces_between_special_tokens"] = False
        if request.schema is not None:
            body["structured_outputs"] = {"json": request.schema}
        sent: dict[str, Any] = {"once": sorted(request.once_slots)}
        if request.allowed_slots is not None:
            sent["slots"] = sorted(request.allowed_slots)
        body["vllm_xargs"] = {"reply": json.dumps(sent)}
        return body
