"""The profile and the feedback over REST, and whether all is well.

A profile is one person's: it needs their name in ``X-Parley-User``. Deleting a sentence changes
the next slate; deleting the profile forgets the person, conversations and feedback included.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from agent.agent import Agent
from agent.api.errors import ApiError, ErrorBody, body, responses
from agent.api.people import THREAD, Owner, begun, named
from agent.errors import MemoryError_
from agent.feedback import Given
from agent.profile import Known
from agent.sentences import sentence


class Kept(BaseModel):
    """One thing kept of a person, with its source."""

    key: str
    sentence: str = Field(description="in plain words")
    item_id: str | None = None
    opinion: str | None = None
    said: str = Field("", description="the person's words")
    origin: str
    source: str = Field("", description="the conversation, or the imported file")
    when: datetime


class Profile(BaseModel):
    """What is kept of a person, newest first."""

    known: list[Kept]


class Change(BaseModel):
    """Sentences to delete, and opinions of items to correct."""

    model_config = ConfigDict(extra="forbid")
    delete: list[Annotated[str, Field(max_length=600)]] = Field(default=[], max_length=200)
    opinions: dict[str, Literal["like", "dislike", "seen", "reject"]] = Field(
        default={}, max_length=200, description="key of a sentence about an item: the new opinion"
    )


class Thumbed(BaseModel):
    """A thumb on a reply, or on one of the items that it showed."""

    model_config = ConfigDict(extra="forbid")
    thread: str = Field(pattern=THREAD)
    turn: int = Field(ge=0, le=100_000, description="the reply's place: `turn` of the reply")
    item_id: str | None = Field(None, max_length=500)
    kind: Literal["thumb_up", "thumb_down", "none"] = Field(description="none takes it back")


class Thumb(BaseModel):
    """A thumb as it is kept."""

    thread: str
    turn: int
    item_id: str | None
    kind: str
    time: str


class Thumbs(BaseModel):
    """The thumbs that stand."""

    feedback: list[Thumb]


class Health(BaseModel):
    """All is well, and with what."""

    status: Literal["ok"]
    catalog: str
    items: int
    fingerprint: str


def routes(agent: Agent) -> APIRouter:
    """The addresses about people under ``/api/v1``."""
    router = APIRouter(prefix="/api/v1")

    def profile_of(user: str) -> Profile:
        return Profile(known=[kept(k, agent) for k in agent.profiles.known(user)])

    @router.get("/profile", tags=["profile"], response_model=Profile, responses=responses())
    def profile(user: Owner) -> Any:
        """What is kept of this person from one conversation to the next."""
        return profile_of(named(user))

    @router.patch("/profile", tags=["profile"], response_model=Profile, responses=responses(404))
    def change(changed: Change, user: Owner) -> Any:
        """Delete sentences, correct opinions; the next slate follows."""
        named(user)
        new = {k: corrected(agent, user, k, o) for k, o in changed.opinions.items()}
        for key in changed.delete:
            agent.profiles.drop(user, key)
        for key, known in new.items():
            agent.profiles.edit(user, key, known)
        return profile_of(user)

    @router.delete("/profile", tags=["profile"], status_code=204, responses=responses())
    def forget(user: Owner) -> Response:
        """Forget this person: profile, conversations and feedback, for good."""
        agent.forget(named(user))
        return Response(status_code=204)

    @router.post("/feedback", tags=["feedback"], response_model=Thumbs, responses=responses(404))
    def give(thumbed: Thumbed, user: Owner) -> Any:
        """Give or take back a thumb. Choices and refusals are read from what is said."""
        state = begun(agent, thumbed.thread, user)
        kind = None if thumbed.kind == "none" else thumbed.kind
        agent.feedback.give(thumbed.thread, user, state, thumbed.turn, kind, thumbed.item_id)
        return thumbs_in(agent, thumbed.thread, user)

    @router.get("/feedback", tags=["feedback"], response_model=Thumbs, responses=responses(404))
    def given(thread: Annotated[str, Query(pattern=THREAD)], user: Owner) -> Any:
        """The thumbs in one conversation; those on replies that were undone are gone."""
        begun(agent, thread, user)
        return thumbs_in(agent, thread, user)

    @router.get(
        "/health",
        tags=["health"],
        response_model=Health,
        responses={503: {"model": ErrorBody, "description": "The database cannot be read."}},
    )
    def health() -> Any:
        """Whether conversations can be read, and over which catalogue. Needs no key."""
        try:
            agent.memory.check()
        except MemoryError_ as error:
            return JSONResponse(body(str(error), 503, "unavailable"), 503)
        catalog = agent.catalog
        return Health(
            status="ok",
            catalog=catalog.domain.name,
            items=catalog.count,
            fingerprint=catalog.fingerprint,
        )

    return router


def thumbs_in(agent: Agent, thread: str, user: str) -> Thumbs:
    stand: list[Given] = agent.feedback.thumbs(user, thread, agent.state(thread))
    return Thumbs(feedback=[Thumb(**g.model_dump(exclude={"words"})) for g in stand])


def corrected(agent: Agent, user: str, key: str, opinion: str) -> Known:
    """A sentence about an item with another opinion. ``AgentError`` if there is none."""
    old = next((k for k in agent.profiles.known(user) if k.key == key and k.item_id), None)
    if old is None:
        raise no_such(key)
    return Known.model_validate({**old.model_dump(), "opinion": opinion, "origin": "hand"})


def kept(known: Known, agent: Agent) -> Kept:
    return Kept(
        key=known.key,
        sentence=sentence(known, agent.catalog),
        item_id=known.item_id or None,
        opinion=known.opinion if known.item_id else None,
        said=known.said,
        origin=known.origin,
        source=known.source,
        when=known.when,
    )


def no_such(key: str) -> ApiError:
    words = f"No sentence {key[:80]!r} about an item: see GET /api/v1/profile."
    return ApiError(words, 404, code="not_found", param="opinions")
