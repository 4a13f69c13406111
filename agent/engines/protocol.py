"""What every language model that talks understands: requests, completions, one protocol.

Errors are ``agent.errors.LLMError``; nothing here loads a model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

OnText = Callable[[int, "Completion"], None]


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
    schema: dict[str, Any] | None = field(default=None, hash=False)
    seconds: float | None = None


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
