"""What machines ask a running Parley: is it alive, can it answer, and what has it counted.

    GET /health/live   200 while the process answers
    GET /health        200 {"status": "ready", ...}, or 503 naming what is missing
    GET /metrics       Prometheus' text format

No key and no name is asked for: nothing here tells of anybody. ops/nginx.conf keeps /metrics from
the outside.
"""

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from agent.agent import Agent
from agent.health import health
from agent.metrics import CONTENT_TYPE
from agent.settings import Settings


def add_status(app: FastAPI, agent: Agent, settings: Settings) -> None:
    """Add the three addresses to the page's app."""

    @app.get("/health/live")
    def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/health")
    def ready() -> JSONResponse:
        found = health(agent, settings)
        status = 200 if found.status == "ready" else 503
        return JSONResponse(found.model_dump(), status_code=status)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(agent.metrics.text(), media_type=CONTENT_TYPE)
