"""What a server can do, found by asking it once, and what it cannot, in words.

No list of products: a server is asked for its models, whether its tokenizer has Parley's
tokens, whether it masks slates, and whether it holds to a JSON schema.
"""

import json
import logging
from dataclasses import dataclass
from typing import Any

from agent.engines.http import Endpoint
from agent.errors import LLMError

log = logging.getLogger(__name__)
ASK = 'Answer with the JSON object {"ok": true} and nothing else.'
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "why": {"enum": ["asked"]}},
    "required": ["ok", "why"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Abilities:
    """Of one model at one server. ``ours``: speaks Parley's tokens; ``slates``: masks them."""

    model: str
    ours: bool
    slates: bool
    schema: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """What it cannot do, and what is done instead."""
        said = []
        if not self.slates:
            said.append("no slate processor: it cannot recommend (start it with agent.serve)")
        if not self.ours:
            said.append("not trained with Parley's tokens: asked in words, slots are not masked")
        if not self.schema:
            said.append("no JSON schema: answers are asked for in words and checked afterwards")
        return tuple(said)


def split_model(url: str) -> tuple[str, str]:
    """``http://host/v1#name`` as address and model; the name may be empty."""
    address, _, model = url.partition("#")
    return address.rstrip("/"), model


def probe(endpoint: Endpoint, model: str = "") -> Abilities:
    """Ask a server what it can do. ``model``: its first one where empty.

    Raises:
        LLMError: it cannot be reached, or has no such model.
    """
    name = named(endpoint, model)
    root = endpoint.url.removesuffix("/v1")
    words = {"model": name, "prompt": "<task:slate><out>", "add_special_tokens": False}
    tokens = _asked(endpoint, f"{root}/tokenize", words)
    ours = isinstance(tokens, dict) and tokens.get("count") == 2
    return Abilities(name, ours, ours and _masks(endpoint, name), _holds(endpoint, name, ours))


def named(endpoint: Endpoint, model: str) -> str:
    """The model to ask for. ``LLMError`` lists what the server has."""
    answer = endpoint.get(f"{endpoint.url}/models")
    try:
        known = [str(entry["id"]) for entry in answer["data"]]
    except (KeyError, TypeError) as error:
        raise LLMError(
            f"{endpoint.url}/models is no list of models ({error!r}); the address of an "
            f"OpenAI-compatible server ends with /v1; check {endpoint.setting}"
        ) from error
    if not known or (model and model not in known):
        raise LLMError(
            f"{endpoint.url} has no model {model!r}, but {', '.join(known) or 'none at all'}; "
            f"name one behind a # in {endpoint.setting}"
        )
    return model or known[0]


def _masks(endpoint: Endpoint, model: str) -> bool:
    """Whether a request that no slate processor would take is refused, as it should be."""
    body = {"model": model, "prompt": "<task:slate><out>", "max_tokens": 1}
    try:
        endpoint.post("/completions", body | {"vllm_xargs": {"slate": "?"}})
    except LLMError as error:
        return "vllm_xargs.slate" in str(error)
    return False


def _holds(endpoint: Endpoint, model: str, ours: bool) -> bool:
    """Whether an answer follows a schema that says more than the prompt does."""
    body: dict[str, Any] = {"model": model, "max_tokens": 40, "temperature": 0}
    if ours:
        path, body = "/completions", body | {"prompt": ASK, "structured_outputs": {"json": SCHEMA}}
    else:
        named = {"name": "answer", "schema": SCHEMA}
        path = "/chat/completions"
        body |= {
            "messages": [{"role": "user", "content": ASK}],
            "response_format": {"type": "json_schema", "json_schema": named},
        }
    try:
        choice = endpoint.post(path, body)["choices"][0]
        text = choice["text"] if ours else choice["message"]["content"]
        found = json.loads(text)
    except (LLMError, ValueError, KeyError, IndexError, TypeError):
        return False
    return isinstance(found, dict) and set(found) == {"ok", "why"}


def _asked(endpoint: Endpoint, address: str, body: dict[str, Any]) -> Any:
    """The answer, or None where the server has no such thing."""
    try:
        return endpoint.ask("POST", address, body)
    except LLMError as error:
        log.debug("%s: %s", address, error)
        return None
