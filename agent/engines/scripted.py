"""A model that says what it is told; for tests."""

from collections.abc import Sequence

from agent.engines.protocol import Completion, OnText, Request
from agent.errors import LLMError


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
