"""Errors of the agent, under the one family of ``catalog.errors.ParleyError``.

ParleyError
+-- AgentError
    +-- MemoryError_    conversations cannot be read or written
    +-- LLMError        a model endpoint failed, timed out or answered nonsense
"""

from catalog.errors import ParleyError


class AgentError(ParleyError):
    """Something went wrong in a turn; the message says what and what to do."""


class MemoryError_(AgentError):
    """Conversations cannot be read or written (named so as not to hide the builtin)."""


class LLMError(AgentError):
    """A model endpoint failed; the turn ends with its message and nothing is lost."""
