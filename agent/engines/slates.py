"""Slates from a server: the same weights, the same order, over HTTP.

``HttpSlates`` sends a prompt as token ids and the prior as ``tools.slate_wire`` writes it;
vLLM's slate processor masks on its own copy of the catalogue. Items are written greedily, one
pass over the slate: ``beam`` has no counterpart there and does nothing. What comes back is
checked against the weights all the same, so a server with another catalogue or without the
mask is an error and never a wrong card.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from agent.engines.http import Endpoint, Refused
from agent.errors import LLMError
from catalog.errors import SlateError
from catalog.items import Catalog
from tools.slate_decoder import SlateRequest, SlateResult
from tools.slate_view import CODES, WRITTEN, View, Walk
from tools.slate_wire import Compiler, Floats, Limits, encode


class Limited(NamedTuple):
    """``HttpSlates`` for one request; see ``HttpSlates.under``."""

    engine: "HttpSlates"
    limits: Limits

    def slate(
        self,
        prompt: list[int],
        weights: Floats,
        n: int,
        *,
        alpha: float = 1.0,
        beam: int = 1,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> SlateResult:
        """See ``SlateEngine.slate``."""
        return self.engine.slate(
            prompt,
            weights,
            n,
            alpha=alpha,
            temperature=temperature,
            seed=seed,
            limits=self.limits,
        )


class HttpSlates:
    """The slate engine of a vLLM server started by ``agent.serve``. Thread-safe.

    ``sid_base``: the id of the first code token, of the model that the server has too;
    ``lm_scale``: as of ``InProcessSlates``.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        catalog: Catalog,
        sid_base: int,
        *,
        parallel: int = 16,
        lm_scale: float = 1.0,
    ) -> None:
        self.endpoint, self.model, self.parallel = endpoint, model, parallel
        self.lm_scale = lm_scale
        self.compiler = Compiler(catalog)
        self.mask, self.sid_base = catalog.mask, sid_base

    def slate(
        self,
        prompt: list[int],
        weights: Floats,
        n: int,
        *,
        alpha: float = 1.0,
        beam: int = 1,
        temperature: float = 0.0,
        seed: int | None = None,
        limits: Limits | None = None,
    ) -> SlateResult:
        """See ``tools.slate_decoder.SlateEngine.slate``. ``limits``: see ``slate_wire.encode``.

        Raises:
            SlateError: nothing is allowed, or an argument is out of its range.
            LLMError: the server failed, or wrote what was not allowed.
        """
        if not prompt or n < 1:
            raise SlateError(f"prompt of {len(prompt)} tokens, n={n}: each needs 1.")
        if not (weights > 0).any():
            raise SlateError("No item is allowed: relax a constraint before asking for a slate.")
        body: dict[str, Any] = {
            "model": self.model,
            "prompt": prompt,
            "max_tokens": WRITTEN * n,
            "temperature": temperature,
            "logprobs": 0,
            "return_token_ids": True,
            "vllm_xargs": {
                "slate": encode(weights, n, alpha, self.compiler, limits, self.lm_scale)
            },
        }
        if seed is not None:
            body["seed"] = seed
        try:
            choice = self.endpoint.post("/completions", body)["choices"][0]
            ids = [int(token) for token in choice["token_ids"]]
            logs = [float(value) for value in choice["logprobs"]["token_logprobs"]]
        except Refused as error:
            raise LLMError(
                f"{self.endpoint.url} refused a slate: {error.text}; does agent.serve have the "
                "same catalogue and rules?"
            ) from error
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise LLMError(
                f"{self.endpoint.url} answered something that is no slate ({error!r}); "
                "start it with python -m agent.serve"
            ) from error
        rows = self._rows(ids, np.asarray(weights, np.float64), n, alpha)
        sums = [sum(logs[k * WRITTEN : (k + 1) * WRITTEN]) for k in range(len(rows))]
        return SlateResult(rows, sums, 1 + len(ids))

    def under(self, limits: Limits) -> "Limited":
        """The engine for one request whose limits are known in words."""
        return Limited(self, limits)

    def slates(self, requests: Sequence[SlateRequest]) -> list[SlateResult]:
        """Many slates; the server batches them."""
        with ThreadPoolExecutor(max(1, min(self.parallel, len(requests)))) as pool:
            return list(
                pool.map(
                    lambda r: self.slate(
                        r.prompt,
                        r.weights,
                        r.n,
                        alpha=r.alpha,
                        temperature=r.temperature,
                        seed=r.seed,
                    ),
                    requests,
                )
            )

    def _rows(self, ids: list[int], weights: Floats, n: int, alpha: float) -> list[int]:
        """The rows that the tokens say, walked under the mask of these very weights."""
        none = np.zeros(0, np.int64)
        view = View(self.mask, self.mask.filter(weights), 1.0, alpha, none, np.zeros(0), none)
        walk = Walk(view, n, self.sid_base)
        codes = range(self.sid_base, self.sid_base + WRITTEN * CODES)
        walk.read([token for token in ids if token in codes])
        if walk.lost or not walk.rows:
            raise LLMError(
                f"{self.endpoint.url} wrote items that were not allowed; does it run with the "
                "slate processor (python -m agent.serve) over the same catalogue?"
            )
        return walk.rows
