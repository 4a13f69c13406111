"""JSON by schema in this process: xgrammar's token masks over parley-small's vocabulary.

Optional: ``.venv/bin/python -m pip install -r requirements/structured.txt`` (xgrammar brings
Triton on Linux). The same schema that a vLLM server is sent (``Request.schema``).
"""

import json
from typing import Any

import torch
from torch import Tensor

from agent.errors import LLMError


class Grammars:
    """Compiled schemas of one tokenizer; a matcher a request. ``LLMError`` without xgrammar."""

    def __init__(self, tokenizer: Any, vocabulary: int, eos: int) -> None:
        try:
            import xgrammar
        except ImportError as error:
            raise LLMError(
                "a JSON schema in this process needs xgrammar: "
                "`.venv/bin/python -m pip install -r requirements/structured.txt`, or give the "
                "role a server (PARLEY_UNDERSTANDER=http://...)"
            ) from error
        self._xgr = xgrammar
        self._size = vocabulary
        info = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocabulary, stop_token_ids=[eos]
        )
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1)

    def matcher(self, schema: dict[str, Any]) -> "Matcher":
        """The state of one answer under a schema. ``LLMError`` when the schema is none."""
        try:
            # Without this a weak model may write blanks until it runs out of tokens.
            compiled = self._compiler.compile_json_schema(json.dumps(schema), any_whitespace=False)
        except RuntimeError as error:
            raise LLMError(f"the JSON schema cannot be compiled: {error}") from error
        return Matcher(self._xgr, self._xgr.GrammarMatcher(compiled), self._size)


class Matcher:
    """Which tokens may come next in one answer."""

    def __init__(self, xgr: Any, matcher: Any, vocabulary: int) -> None:
        self._matcher = matcher
        self._size = vocabulary
        self._bits: Tensor = xgr.allocate_token_bitmask(1, vocabulary)

    def forbidden(self) -> Tensor:
        """What may not come next. Shape: (V,) bool."""
        self._matcher.fill_next_token_bitmask(self._bits, 0)
        shifts = torch.arange(32, dtype=torch.int32)
        bits = (self._bits[0][:, None] >> shifts) & 1
        return bits.reshape(-1)[: self._size] == 0

    def take(self, token: int) -> None:
        """One token was written."""
        self._matcher.accept_token(token)
