"""The API as one FastAPI app, and how it stands beside the page on the same port.

    api = create(agent, settings)           # an ASGI app of its own; uvicorn can serve it alone
    Beside(page, api)                       # or what answers where it has an address

The specification is at /api/v1/openapi.json. CORS is off: pages of other sites cannot read
anything here unless PARLEY_CORS_ORIGINS names them.
"""

import re

from fastapi import FastAPI, Security
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import HTTPBearer
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.agent import Agent
from agent.api import completions, conversations, items, memory
from agent.api.errors import add_errors
from agent.api.guard import Guard
from agent.api.turning import Turning
from agent.settings import Settings, SettingsError

VERSION = "1.0"
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")
ALLOWED = "Authorization Content-Type X-API-Key X-Parley-User X-Parley-Thread X-Request-Id".split()
OURS = ("/api/v1/", "/v1/")


def create(agent: Agent, settings: Settings) -> ASGIApp:
    """The API over one agent, behind its guard.

    Raises:
        SettingsError: keys, rate limit or origins that cannot be used.
    """
    locks = [Security(HTTPBearer(auto_error=False))] if settings.api_keys else []
    app = FastAPI(
        title="Parley",
        version=VERSION,
        description="Recommendations in conversation: every item is in the catalogue, every "
        "stated constraint holds, every claim names the field that it rests on.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        dependencies=locks,
    )
    turning = Turning(agent)
    add_errors(app)
    app.include_router(items.routes(agent))
    app.include_router(conversations.routes(agent, turning))
    app.include_router(memory.routes(agent))
    app.include_router(completions.routes(agent, turning))
    guarded: ASGIApp = Guard(app, settings)
    origins = [o.strip() for o in settings.cors_origins.split(",") if o.strip()]
    for origin in origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise SettingsError(
                f"PARLEY_CORS_ORIGINS: {origin!r} is no origin: write https://shop.example, with "
                "the port where it has one and nothing after it."
            )
    if not origins:
        return guarded
    # Outside of the guard: a browser asks for permission without a key.
    return CORSMiddleware(
        guarded,
        allow_origins=origins,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=ALLOWED,
        expose_headers=["X-Parley-Thread", "X-Request-Id", "X-RateLimit-Remaining", "Retry-After"],
    )


class Beside:
    """The page, and the API for every path that begins as its own do."""

    def __init__(self, app: ASGIApp, api: ASGIApp) -> None:
        self._page = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"].startswith(OURS)
        await (self._api if ours else self._page)(scope, receive, send)
