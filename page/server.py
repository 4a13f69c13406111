"""The web server: our own page at "/", its few addresses, and Gradio's app beneath them.

The page is static files and fragments of HTML made on the server; it asks for nothing from
another host and runs no inline script, and a Content-Security-Policy holds it to that. Which
browser asks is said in a header that only our own script sends, so no other site can act in a
person's name. Gradio is mounted at "/" behind these routes: its queue, its API documentation
(/?view=api is ours no longer) and `gradio_client` find it where they expect it.

    uvicorn serves create(Agent.open(Settings.load())); app.py does that.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import gradio as gr
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agent.agent import MAX_USER_CHARS, Agent
from agent.api.app import Beside
from agent.api.app import create as programs
from agent.settings import Settings
from agent.state import DialogueState
from catalog.errors import ParleyError
from catalog.items import Catalog
from page import api, history, suggest, talk, trace_tab
from page.cards import tile
from page.chat import Asked, Chat, PageError
from page.compare import compare_html
from page.edits import suggested
from page.html import icon
from page.known import understood
from page.profile import User, add_profile
from page.runs import BusyError, Run
from page.status import add_status
from page.thumbs import add_thumbs

STATIC = Path(__file__).parent / "static"
IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif"}  # no SVG: it may carry scripts
SHOWCASE = 7  # drawn posters over an empty conversation
Thread = Annotated[str, Query(pattern="^[0-9a-f]{32}$")]


def create(agent: Agent, settings: Settings) -> FastAPI:
    """The whole app over one agent."""
    app = FastAPI(title="Parley", docs_url=None, redoc_url=None, openapi_url=None)
    chat = Chat(agent, remote_images=settings.remote_images)
    app.router.routes.extend([*suggest.routes(agent), *trace_tab.routes(agent)])
    add_errors(app)
    add_page(app, agent, settings)
    add_conversations(app, chat)
    add_turns(app, chat)
    add_looks(app, chat)
    add_thumbs(app, chat)
    app.state.only_user = settings.user
    add_profile(app, agent)
    add_status(app, agent, settings)
    app.mount("/parley/static", StaticFiles(directory=STATIC), name="static")
    gr.mount_gradio_app(app, api.blocks(agent), path="/", footer_links=[], ssr_mode=False)
    app.add_middleware(Beside, api=programs(agent, settings))
    return app


def add_errors(app: FastAPI) -> None:
    """Our own errors reach the page as one sentence with a fitting code."""

    @app.exception_handler(ParleyError)
    async def told(request: Request, error: ParleyError) -> JSONResponse:
        status = error.status if isinstance(error, PageError) else 422
        status = 409 if isinstance(error, BusyError) else status
        return JSONResponse({"error": str(error)}, status_code=status)


def add_page(app: FastAPI, agent: Agent, settings: Settings) -> None:
    """The page itself and the images of the catalogue's folder."""
    templates = Environment(
        loader=FileSystemLoader(STATIC), undefined=StrictUndefined, autoescape=True
    )
    images = "'self' data:" + (" https:" if settings.remote_images else "")
    policy = (
        f"default-src 'self'; img-src {images}; style-src 'self' 'unsafe-inline'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    @app.get("/", response_class=HTMLResponse)
    @app.head("/")
    def page() -> HTMLResponse:
        catalog = agent.catalog
        html = templates.get_template("index.html").render(
            domain=catalog.domain,
            hero=talk.hero(catalog),
            showcase=showcase(catalog),
            icon=icon,
            max_chars=MAX_USER_CHARS,
            known=understood(DialogueState(), catalog),
        )
        return HTMLResponse(html, headers=headers)

    @app.get("/parley/image")
    def image(item: Annotated[str, Query(max_length=500)]) -> Response:
        path = image_path(agent.catalog, item)
        if path is None:
            raise HTTPException(404, "This item has no image here.")
        return FileResponse(path, headers={"Cache-Control": "max-age=3600"})


def showcase(catalog: Catalog) -> str:
    """Drawn posters of what is talked about most, each in a colour of its own."""
    best = catalog.popularity.argsort()[::-1]
    return "".join(tile(catalog.item(int(row)), catalog) for row in best[:SHOWCASE])


def image_path(catalog: Catalog, item_id: str) -> Path | None:
    """The file of an item's image, if it lies in the catalogue's folder and is a picture."""
    if catalog.path is None or not catalog.has(item_id):
        return None
    name = catalog.item(item_id).image
    if name is None or name.startswith("https://"):
        return None
    folder = catalog.path.resolve()
    path = (folder / name).resolve()
    inside = path.is_relative_to(folder) and path.suffix.lower() in IMAGES
    return path if inside and path.is_file() else None


def add_conversations(app: FastAPI, chat: Chat) -> None:
    """One conversation, and the list of this browser's."""

    @app.get("/parley/ping")
    def ping() -> dict[str, str]:
        return {"catalog": chat.agent.catalog.fingerprint}

    @app.get("/parley/conversation")
    def conversation(thread: Thread, user: User) -> dict[str, Any]:
        return chat.show(thread, user)

    @app.get("/parley/conversations")
    def conversations(user: User) -> dict[str, str]:
        return {"html": history.history(chat.agent.conversations(user))}

    @app.delete("/parley/conversation")
    def delete(thread: Thread, user: User) -> dict[str, str]:
        chat.delete(thread, user)
        return {"html": history.history(chat.agent.conversations(user))}


def add_turns(app: FastAPI, chat: Chat) -> None:
    """Begin, follow, stop and undo turns."""

    @app.post("/parley/turn")
    def turn(asked: Asked, user: User) -> StreamingResponse:
        return streamed(chat.start(asked, user))

    @app.get("/parley/follow")
    def follow(thread: Thread, user: User) -> Response:
        chat.state(thread, user)
        run = chat.runs.of(thread)
        return streamed(run) if run else Response(status_code=204)

    @app.post("/parley/stop")
    def stop(thread: Thread, user: User) -> Response:
        chat.stop(thread, user)
        return Response(status_code=204)

    @app.post("/parley/undo")
    def undo(thread: Thread, user: User) -> dict[str, Any]:
        return chat.undo(thread, user)


def streamed(run: Run) -> StreamingResponse:
    """A run's events, one line of JSON each; who leaves ends nothing."""

    async def lines() -> AsyncIterator[bytes]:
        async for event in run.follow():
            yield json.dumps(event, ensure_ascii=False).encode() + b"\n"

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines(), media_type="application/x-ndjson", headers=headers)


def add_looks(app: FastAPI, chat: Chat) -> None:
    """What is looked at beside the conversation: trace, comparison, values for an editor."""
    agent = chat.agent

    @app.get("/parley/trace")
    def trace(thread: Thread, user: User, turn: int = -1) -> dict[str, Any]:
        return trace_tab.shown(chat.state(thread, user), agent.catalog, turn)

    @app.get("/parley/compare")
    def compare(item: Annotated[list[str], Query(max_length=8)], user: User) -> dict[str, str]:
        return {"html": compare_html(item, agent.catalog)}

    @app.get("/parley/values")
    def values(
        field: str, user: User, q: Annotated[str, Query(max_length=200)] = ""
    ) -> dict[str, list[Any]]:
        return {"values": suggested(agent.catalog.facet(field), q, agent.catalog)}
