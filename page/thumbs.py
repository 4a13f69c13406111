"""Thumbs on replies and cards: the addresses that keep what the two small buttons say.

Which ones are pressed is asked for by page/static/thumbs.js whenever a conversation is shown, so
that the fragments of a reply stay the same whatever was thought of it.
"""

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field

from page.chat import Chat
from page.profile import User

Thread = Annotated[str, Query(pattern="^[0-9a-f]{32}$")]


class Thumbed(BaseModel):
    """A thumb on the reply at ``turn``, or on one of its items; ``none`` takes it back."""

    model_config = ConfigDict(extra="forbid")

    thread: str = Field(pattern="^[0-9a-f]{32}$")
    turn: int = Field(ge=0, le=100_000)
    item_id: str | None = Field(None, max_length=500)
    kind: Literal["thumb_up", "thumb_down", "none"]


def add_thumbs(app: FastAPI, chat: Chat) -> None:
    """The addresses of thumbs."""

    def standing(thread: str, user: str) -> dict[str, Any]:
        given = chat.agent.feedback.thumbs(user, thread, chat.state(thread, user))
        return {"thumbs": [g.model_dump(include={"turn", "item_id", "kind"}) for g in given]}

    @app.get("/parley/feedback")
    def shown(thread: Thread, user: User) -> dict[str, Any]:
        chat.state(thread, user)
        return standing(thread, user)

    @app.post("/parley/feedback")
    def give(thumbed: Thumbed, user: User) -> dict[str, Any]:
        state = chat.state(thumbed.thread, user)
        kind = None if thumbed.kind == "none" else thumbed.kind
        chat.agent.feedback.give(thumbed.thread, user, state, thumbed.turn, kind, thumbed.item_id)
        return standing(thumbed.thread, user)
