"""Who speaks: the key that let the request in, and the person whom the caller names.

Threads, profile and feedback belong to a person of a key. Nobody else's exist for them: they
are answered 404, so that a guessed name tells nothing. The names are in a space of their own
("api:shop:ann"), which no browser's random name can be in.
"""

from typing import Annotated

from fastapi import Depends, Header, Request

from agent.agent import Agent
from agent.api.errors import ApiError
from agent.memory import thread_config
from agent.profile import NOBODY
from agent.state import DialogueState

PERSON = r"^[A-Za-z0-9._@+-]{1,100}$"
THREAD = r"^[0-9a-f]{32}$"
NAMELESS = "api"  # of agent.profile.NOBODY: callers who name no person share it, and no profile


def owner_of(caller: str, person: str | None) -> str:
    """The name under which Parley keeps what belongs to ``person`` of the key ``caller``."""
    if not caller and not person:
        return NAMELESS
    return f"api:{caller}:{person or ''}"


def owner(
    request: Request,
    person: Annotated[
        str | None,
        Header(
            alias="X-Parley-User",
            pattern=PERSON,
            description="the person who speaks, in your own names; theirs alone are the "
            "conversations, the profile and the feedback",
        ),
    ] = None,
) -> str:
    return owner_of(request.scope.get("state", {}).get("caller", ""), person)


Owner = Annotated[str, Depends(owner)]


def named(user: str) -> str:
    """The owner, if the request named a person. ``ApiError`` if it did not."""
    if user in NOBODY or user.endswith(":"):
        raise ApiError(
            "Nobody is named: a profile is one person's, so send their name in X-Parley-User.",
            param="X-Parley-User",
            code="nobody_named",
        )
    return user


def begun(agent: Agent, thread: str, user: str) -> DialogueState:
    """A conversation of this person's. ``ApiError`` 404 if it is another's, or nobody's."""
    there = agent.graph.get_state(thread_config(thread))
    state = agent.state(thread)
    if there.metadata is None or state.user != user:
        raise ApiError(f"No conversation {thread!r} here: begin one.", 404, code="no_conversation")
    return state


def idle(agent: Agent, thread: str) -> None:
    """``ApiError`` 409 while a turn of the conversation runs."""
    if agent.busy(thread):
        raise ApiError(
            f"The conversation {thread!r} still answers: wait for it, or stop it.",
            409,
            code="conversation_busy",
        )
