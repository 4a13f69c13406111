"""What one turn may spend: model calls, tokens written, seconds.

When it is spent, what was verified by then stands, and the rest of the reply is realised
without a model (``agent.realise``): shorter of words, never wrong, and the trace says so. A
reply is cut off by no model's slowness and no bill grows without end.
"""

import time
from dataclasses import dataclass

from agent.state import Trace


@dataclass(frozen=True)
class Budget:
    """The limits of a turn; see PARLEY_TURN_CALLS, _TOKENS and _SECONDS."""

    calls: int = 4
    tokens: int = 4000
    seconds: float = 60.0

    def left(self, trace: Trace, started: float) -> "Left":
        """What is left of it in a turn whose present node began at ``started``."""
        used = sum(trace.seconds.values()) + time.perf_counter() - started
        return Left(self.calls - trace.model_calls, self.tokens - trace.tokens, self.seconds - used)


@dataclass(frozen=True)
class Left:
    """What is left of a budget."""

    calls: int
    tokens: int
    seconds: float

    @property
    def spent(self) -> str:
        """Which of them is used up; empty while none is."""
        for name in ("calls", "tokens", "seconds"):
            if getattr(self, name) <= 0:
                return name
        return ""
