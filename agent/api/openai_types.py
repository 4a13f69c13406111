"""What OpenAI's protocol asks: the request as we take it, and what of it we cannot do.

Three kinds of parameters: those that are served; those that are accepted and without effect
(``IGNORED``), because clients send them unasked and no answer becomes wrong by ignoring them;
and those whose caller would get something else than asked for (``refusal``), which are answered
400 rather than ignored. A parameter that is none of OpenAI's is an error too, as it is there.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agent.agent import MAX_USER_CHARS
from agent.api.people import PERSON

MODEL = "parley"
MAX_MESSAGES = 200
#: Accepted and without effect; each answer's ``parley.ignored`` names those that were sent.
IGNORED = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "max_tokens",
    "max_completion_tokens",
    "store",
    "service_tier",
    "reasoning_effort",
    "verbosity",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
)


class Part(BaseModel):
    """A piece of a message; only text can be read."""

    model_config = ConfigDict(extra="ignore")
    type: str
    text: str = ""


class Message(BaseModel):
    """One message. A system message is accepted and without effect: orders stay data."""

    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")
    include_usage: bool = False


class Completion(BaseModel):
    """A request for ``POST /v1/chat/completions``."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(max_length=200)
    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    user: Annotated[str, StringConstraints(pattern=PERSON)] | None = Field(
        None, description="the person who speaks; X-Parley-User goes before it"
    )
    metadata: dict[str, str] | None = Field(
        None, description="`parley_thread`: as the header X-Parley-Thread"
    )
    n: int | None = 1
    # Accepted and without effect.
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    store: bool | None = None
    service_tier: str | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    parallel_tool_calls: bool | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    # Known, and refused where they ask for something.
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    function_call: Any = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    modalities: list[str] | None = None
    audio: Any = None
    prediction: Any = None
    stop: Any = None
    web_search_options: Any = None


class Refusal(BaseModel):
    """Why a request cannot be served as it is."""

    param: str
    words: str


def ignored(asked: Completion) -> list[str]:
    """What the request has that is without effect."""
    sent = [name for name in IGNORED if getattr(asked, name) is not None]
    orders = any(m.role in ("system", "developer") for m in asked.messages)
    return [*sent, *(["messages: system"] if orders else [])]


def refusal(asked: Completion) -> Refusal | None:
    """The first thing asked for that Parley does not do."""
    no_tools = "Parley calls its own tools and no others: leave it out."
    checks: tuple[tuple[bool, str, str], ...] = (
        (bool(asked.tools), "tools", no_tools),
        (asked.tool_choice not in (None, "none", "auto"), "tool_choice", no_tools),
        (bool(asked.functions), "functions", no_tools),
        (asked.function_call not in (None, "none", "auto"), "function_call", no_tools),
        (asked.n not in (None, 1), "n", f"n={asked.n}: one reply is given; ask again for another."),
        (bool(asked.logprobs), "logprobs", "A reply is verified text without probabilities."),
        (bool(asked.top_logprobs), "top_logprobs", "A reply is verified text without them."),
        (bool(asked.logit_bias), "logit_bias", "Tokens cannot be steered: say what is wanted."),
        (
            (asked.response_format or {}).get("type", "text") != "text",
            "response_format",
            "Replies are text; what a program needs is in the field 'parley'.",
        ),
        (bool(set(asked.modalities or ()) - {"text"}), "modalities", "Replies are text only."),
        (asked.audio is not None, "audio", "Replies are text only."),
        (asked.prediction is not None, "prediction", "Replies are not predicted from a draft."),
        (bool(asked.stop), "stop", "Replies end by themselves: cut the text where you need it."),
        (asked.web_search_options is not None, "web_search_options", "Nothing is looked up."),
    )
    found = next(((name, words) for wrong, name, words in checks if wrong), None)
    return Refusal(param=found[0], words=found[1]) if found else _message(asked)


def _message(asked: Completion) -> Refusal | None:
    for k, message in enumerate(asked.messages):
        where = f"messages.{k}"
        if message.role in ("tool", "function"):
            return Refusal(param=where, words="Results of tools are not read: leave them out.")
        parts = message.content if isinstance(message.content, list) else []
        other = [part for part in parts if part.type != "text"]
        if other:
            kind = other[0].type[:40]
            return Refusal(param=where, words=f"Content of type {kind!r} is not read: send text.")
        if message.role == "user" and len(message.text) > MAX_USER_CHARS:
            length = len(message.text)
            words = f"The message has {length} characters; at most {MAX_USER_CHARS} are read."
            return Refusal(param=where, words=words)
    last = asked.messages[-1]
    if last.role != "user" or not last.text.strip():
        return Refusal(
            param="messages", words="The last message has to be the person's, with words in it."
        )
    return None
