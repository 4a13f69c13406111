"""Spans of a turn, its nodes and its model calls, for any OpenTelemetry collector.

    PARLEY_OTLP=http://collector:4317 python app.py

Without that setting OpenTelemetry's own no-op tracer is at work and nothing leaves the process.
A span carries times, acts and counts, never a word that anybody wrote. The API is the one of
OpenTelemetry, so a program that embeds the agent and has set up tracing sees our spans in its own.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from langgraph.runtime import Runtime
from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode

from agent.errors import AgentError
from agent.running import Running
from agent.settings import Settings
from agent.state import DialogueState
from tools.slate_decoder import SlateEngine, SlateResult

NAME = "parley"


class Node(Protocol):
    """A node of agent/graph.py."""

    __name__: str

    def __call__(self, state: DialogueState, runtime: Runtime[Running]) -> dict[str, Any]: ...


def turn_span() -> Span:
    """The span of a turn; whoever opens it ends it. It is not made the current one here: a
    turn is a generator, and may go on in another thread than it began in."""
    return trace.get_tracer(NAME).start_span("turn")


@contextmanager
def ended(span: Span) -> Iterator[Span]:
    """End the span, and say the kind of error that ended the turn, if one did."""
    try:
        yield span
    except Exception as error:
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        span.end()


def spanned(node: Node) -> Node:
    """A node with a span of its own, under the turn's."""

    @functools.wraps(node)
    def run(state: DialogueState, runtime: Runtime[Running]) -> dict[str, Any]:
        parent = runtime.context.span
        context = trace.set_span_in_context(parent) if parent is not None else None
        with _span(node.__name__, context) as span:
            changed = node(state, runtime)
            plan = changed.get("plan")
            if plan is not None:
                span.set_attribute("parley.act", plan.act)
            return changed

    return run


@contextmanager
def model_call(role: str, requests: int = 1) -> Iterator[None]:
    """A span around one model call, under the node that makes it."""
    with _span("model_call") as span:
        span.set_attribute("parley.role", role)
        span.set_attribute("parley.requests", requests)
        yield


class SpannedSlates:
    """A slate engine whose calls have spans."""

    def __init__(self, engine: SlateEngine) -> None:
        self._engine = engine

    def slate(
        self,
        prompt: list[int],
        weights: npt.NDArray[np.float64],
        n: int,
        *,
        alpha: float = 1.0,
        beam: int = 6,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> SlateResult:
        """As ``SlateEngine.slate``."""
        with model_call("slate"):
            return self._engine.slate(
                prompt, weights, n, alpha=alpha, beam=beam, temperature=temperature, seed=seed
            )


@contextmanager
def _span(name: str, context: Any = None) -> Iterator[Span]:
    """The kind of an error is told; its message may quote a person and is not."""
    tracer = trace.get_tracer(NAME)
    with tracer.start_as_current_span(
        name, context, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except Exception as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def send_spans(settings: Settings) -> None:
    """Send spans to the collector that ``PARLEY_OTLP`` names; without one do nothing.

    Raises:
        AgentError: the packages of requirements/telemetry.txt are missing.
    """
    if settings.otlp is None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise AgentError(
            f"PARLEY_OTLP is set, but OpenTelemetry's packages are not installed ({error}): "
            "pip install -r requirements/telemetry.txt -c constraints.txt"
        ) from error
    provider = TracerProvider(resource=Resource.create({"service.name": NAME}))
    plain = settings.otlp.startswith("http://")
    exporter = OTLPSpanExporter(endpoint=settings.otlp, insecure=plain)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
