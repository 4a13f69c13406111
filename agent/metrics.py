"""What a running agent counts: turns, their times and models, what the verifier let through.

    metrics = Metrics(items=lambda: agent.catalog.count)
    with metrics.turn() as done:
        done(turn)                    # the agent's Turn, once it is written
    metrics.text()                    # Prometheus' format; page/server.py serves it at /metrics

Figures only: no name, no thread, no word of anybody. One registry an agent, so that several in a
process (tests, an evaluation) do not add up.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from agent.state import Turn

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 13, 20, 30, 60, 120)
CALLS = (0, 1, 2, 3, 4, 6, 10)
TOKENS = (0, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12800)
log = logging.getLogger("parley.turns")


class Metrics:
    """Counters over one agent. Safe to call from several threads."""

    def __init__(self, items: Callable[[], int]) -> None:
        self.registry = one = CollectorRegistry()
        self.seconds = Histogram(
            "parley_turn_seconds",
            "From a message to its whole reply, waiting for the conversation left out",
            ["act"],
            buckets=SECONDS,
            registry=one,
        )
        self.first = Histogram(
            "parley_first_unit_seconds",
            "From a message to the first verified card or sentence",
            buckets=SECONDS,
            registry=one,
        )
        self.calls = Histogram(
            "parley_model_calls", "Model calls a turn", buckets=CALLS, registry=one
        )
        self.call_seconds = Histogram(
            "parley_model_call_seconds",
            "One model call, with its wait for a place in a batch",
            ["role"],
            buckets=SECONDS,
            registry=one,
        )
        self.tokens = Histogram(
            "parley_turn_tokens",
            "Tokens of a turn's model calls",
            ["kind"],
            buckets=TOKENS,
            registry=one,
        )
        self.units = Counter(
            "parley_units",
            "Sentences and cards released, by how: first draft, rewritten draft, plain frame",
            ["by"],
            registry=one,
        )
        self.slates = Counter(
            "parley_slates",
            "Slates shown, by who put them in order: the model or retrieval",
            ["by"],
            registry=one,
        )
        self.errors = Counter(
            "parley_turn_errors", "Turns that ended in an error", ["kind"], registry=one
        )
        self.stopped = Counter("parley_turns_stopped", "Turns that a person ended", registry=one)
        self.running = Gauge("parley_turns_running", "Turns that run now", registry=one)
        Gauge("parley_catalog_items", "Items that can be recommended", registry=one).set_function(
            lambda: float(items())
        )
        for by in ("llm", "rewrite", "template"):
            self.units.labels(by)
        for by in ("llm", "retrieval"):
            self.slates.labels(by)

    @contextmanager
    def turn(self) -> Iterator[Callable[[Turn], None]]:
        """Around a turn; the function it gives counts what was written."""
        started = time.perf_counter()

        def done(turn: Turn) -> None:
            self._count(turn, time.perf_counter() - started)

        self.running.inc()
        try:
            yield done
        except Exception as error:
            self.errors.labels(type(error).__name__.rstrip("_")).inc()
            raise
        finally:
            self.running.dec()

    def _count(self, turn: Turn, seconds: float) -> None:
        act, trace = turn.act or "none", turn.trace
        self.seconds.labels(act).observe(seconds)
        if turn.stopped:
            self.stopped.inc()
        for unit in turn.units:
            self.units.labels(unit.realised_by).inc()
        if turn.slate is not None:
            self.slates.labels(turn.slate.ordered_by).inc()
        if trace is None:
            return
        if trace.first_unit_s is not None:
            self.first.observe(trace.first_unit_s)
        self.calls.observe(trace.model_calls)
        for call in trace.calls:
            self.call_seconds.labels(call.role).observe(call.seconds)
        self.tokens.labels("prompt").observe(trace.prompt_tokens)
        self.tokens.labels("written").observe(trace.tokens)
        log.info(
            "turn",
            extra={
                "act": act,
                "seconds": round(seconds, 3),
                "model_calls": trace.model_calls,
                "tokens": trace.tokens,
                "units": len(turn.units),
                "stopped": turn.stopped,
            },
        )

    def text(self) -> bytes:
        """Everything counted, in Prometheus' text format."""
        return generate_latest(self.registry)
