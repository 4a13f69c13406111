"""Is this Parley alive, and can it answer? For compose, Kubernetes, nginx and people.

    GET /health        readiness: 200 when a turn would be answered, 503 with the reason if not
    GET /health/live   liveness: 200 while the process answers at all

A database or an endpoint that is down makes a replica unready, not dead: it gets no new turns and
comes back by itself. Restarting it would help nobody.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import httpx
from pydantic import Field

from agent.agent import Agent
from agent.engines.probe import split_model
from agent.settings import Settings
from agent.state import Frozen
from catalog.errors import ParleyError

TIMEOUT_S = 2.0  # of an endpoint's answer
ROLES = ("talker", "recommender", "understander")


class Part(Frozen):
    """One thing a turn needs. ``why`` is empty where all is well."""

    ok: bool
    why: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class Health(Frozen):
    """Every part; ``status`` is "ready" when all of them are well."""

    status: Literal["ready", "not ready"]
    parts: dict[str, Part]


def health(agent: Agent, settings: Settings) -> Health:
    """Look at every part a turn needs; takes up to a few seconds where one does not answer."""
    parts = {
        "catalog": _part(lambda: _catalog(agent)),
        "database": _part(lambda: _database(agent, settings)),
    }
    if settings.chroma_url is not None:
        parts["index"] = _part(partial(_chroma, settings.chroma_url))
    for role in ROLES:
        parts[role] = _part(partial(_model, _endpoints(settings).get(role)))
    ready = all(part.ok for part in parts.values())
    return Health(status="ready" if ready else "not ready", parts=parts)


def _part(look: Callable[[], dict[str, Any]]) -> Part:
    try:
        return Part(ok=True, facts=look())
    except (ParleyError, httpx.HTTPError, httpx.InvalidURL) as error:
        return Part(ok=False, why=str(error) or type(error).__name__)


def _catalog(agent: Agent) -> dict[str, Any]:
    catalog = agent.catalog
    if not catalog.count:
        raise ParleyError("The catalogue holds no item: build it again (python -m catalog.build).")
    return {"items": catalog.count, "fingerprint": catalog.fingerprint}


def _database(agent: Agent, settings: Settings) -> dict[str, Any]:
    agent.memory.check()
    return {"kind": "postgresql" if settings.database else "sqlite"}


def _chroma(url: str) -> dict[str, Any]:
    httpx.get(f"{url.rstrip('/')}/api/v2/heartbeat", timeout=TIMEOUT_S).raise_for_status()
    return {"where": "server"}


def _endpoints(settings: Settings) -> dict[str, str]:
    """Servers that models are asked at, by the role they play."""
    asked = {
        "talker": settings.talker_url or settings.endpoint_url,
        "recommender": settings.recommender_url,
        "understander": settings.understander_url,
    }
    return {role: split_model(url)[0] for role, url in asked.items() if url}


def _model(url: str | None) -> dict[str, Any]:
    """In this process, where it was loaded before anything was served; or a server, where any
    answer below 500 will do: who asks for a key is there."""
    if url is None:
        return {"where": "in-process"}
    answer = httpx.get(f"{url.rstrip('/')}/models", timeout=TIMEOUT_S)
    if answer.status_code >= 500:
        raise ParleyError(f"The model's server answers {answer.status_code}.")
    return {"where": "server"}
