"""What Parley keeps of a person, as a panel of the page: sentences to edit, import, export, forget.

Who asks is the browser's own random name (page/static/net.js) and, where several people share a
browser, a name on top of it: the two make the person. Nobody can become somebody else by typing
a name; the key that the panel shows is what carries a person to another browser.
"""

import hashlib
import json
import re
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from agent.agent import Agent
from agent.importing import read_history
from agent.profile import Known, Opinion, clause_key
from agent.sentences import sentence
from catalog.filters import Clause
from catalog.items import Catalog
from page.chat import PageError
from page.edits import clause as checked
from page.html import attributes, button, escape
from page.known import ATTITUDES, clause_fields, select

MOST_BYTES = 20_000_000  # of a history that is imported
LISTED = 300  # sentences of one group on the page
GROUPS = (
    ("always", "Whatever you ask for", True),
    ("like", "You like", True),
    ("dislike", "Not for you", True),
    ("seen", "You know already", False),
)
GROUP = {"like": "like", "accept": "like", "dislike": "dislike", "reject": "dislike"}
OPINIONS = tuple((value, words) for value, words in ATTITUDES)


def who(
    request: Request,
    browser: Annotated[str, Header(alias="X-Parley-User", pattern="^[0-9a-f]{32}$")],
    name: Annotated[str, Header(alias="X-Parley-Name", max_length=400)] = "",
) -> str:
    """Who asks: the browser, the person at it, or the one person of PARLEY_USER."""
    only = getattr(request.app.state, "only_user", None)
    if only:
        return digest(only)
    return digest(f"{browser}\0{unquote(name).strip()}") if name.strip() else browser


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


User = Annotated[str, Depends(who)]


class Edit(BaseModel):
    """A sentence put differently: another opinion of an item, or other values of a clause."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(max_length=700)
    opinion: Opinion | None = None
    clause: Clause | None = None


def source(known: Known) -> str:
    """Where a sentence comes from: a way to the message, the imported file, or the person."""
    when = f"{known.when.day} {known.when:%b %Y}"
    if known.origin == "import":
        return f'<p class="from">From {escape(known.source)}, {when}</p>'
    if known.origin == "hand" or not known.source:
        return f'<p class="from">Set by you, {when}</p>'
    said = f"“{escape(known.said)}”" if known.said else "You said so"
    link = attributes(href=f"#{known.source}", data_open_thread=known.source)
    return f'<p class="from"><a{link}>{said} · message {known.message + 1}, {when}</a></p>'


def row(known: Known, catalog: Catalog) -> str:
    words = sentence(known, catalog)
    form = ""
    if known.clause is not None:
        fields = clause_fields(known.clause, catalog.domain)
        data = attributes(data_value=known.clause.model_dump_json())
        form = f"<fieldset{data}>{fields}</fieldset>" if fields else ""
    elif known.item_id:
        chosen = "like" if known.opinion == "accept" else known.opinion
        form = f"<fieldset>{select('opinion', OPINIONS, chosen, 'What you think of it')}</fieldset>"
    change = ""
    if form:
        change = button(
            "", image="edit", class_="icon", name=f"Change: {words}", data_open=True,
            aria_expanded="false",
        )  # fmt: skip
        form = (
            f'<form class="editor" hidden{attributes(aria_label=f"Change: {words}")}>{form}'
            '<p class="problem" role="alert" hidden></p><div class="buttons">'
            '<button type="submit" class="solid">Save</button>'
            f"{button('Cancel', class_='quiet', data_cancel=True)}</div></form>"
        )
    gone = button("", image="close", class_="icon", name=f"Delete: {words}", data_drop=known.key)
    return (
        f'<li class="chip"{attributes(data_key=known.key)}><div class="row">'
        f'<span class="words">{escape(words)}</span>{change}{gone}</div>{source(known)}{form}</li>'
    )


def panel(agent: Agent, user: str) -> str:
    """The sentences, in groups; what to expect while there are none."""
    known, catalog = agent.profiles.known(user), agent.catalog
    if not known:
        return (
            '<p class="empty">Nothing yet. What you say of yourself (“I never want …”, “I have '
            "seen …”) and what you choose, refuse or import is kept here, for you alone, and "
            "counts in every conversation.</p>"
        )
    parts = []
    for name, title, opened in GROUPS:
        mine = [k for k in known if group_of(k) == name]
        if mine:
            rows = "".join(row(k, catalog) for k in mine[:LISTED])
            more = len(mine) - LISTED
            words = f'<p class="from">And {more} more: all are in the export.</p>'
            rest = words if more > 0 else ""
            parts.append(
                f'<details class="group {name}"{attributes(open=opened or len(mine) <= 20)}>'
                f"<summary>{escape(title)} ({len(mine)})</summary><ul>{rows}</ul>{rest}</details>"
            )
    return "".join(parts)


def group_of(known: Known) -> str:
    return GROUP.get(known.opinion, "seen") if known.item_id else "always"


def changed(edit: Edit, held: Known, catalog: Catalog) -> Known:
    """The sentence as it was edited. ``ParleyError`` for what the catalogue cannot hold."""
    hand: dict[str, Any] = {"origin": "hand", "source": "", "message": -1, "said": ""}
    if edit.clause is not None and held.clause is not None:
        value = checked(edit.clause, catalog).model_copy(update={"scope": "always", "said": ""})
        return held.model_copy(update={**hand, "clause": value, "key": clause_key(value)})
    opinion = edit.opinion or held.opinion
    return held.model_copy(update={**hand, "opinion": opinion})


def told(filename: str, kept: int, unmatched: list[str], noun: str) -> str:
    """What came of an import, as a fragment: nothing is dropped without a word."""
    words = f"{kept} from {escape(filename)} are in your profile now."
    if not unmatched:
        return f'<p class="from">{words}</p>'
    rows = "".join(f"<li>{escape(name)}</li>" for name in unmatched[:LISTED])
    more = len(unmatched) - LISTED
    rows += f"<li>and {more} more</li>" if more > 0 else ""
    return (
        f'<p class="from">{words}</p><details class="unmatched"><summary>{len(unmatched)} are no '
        f"{escape(noun)} of this catalogue</summary><ul>{rows}</ul></details>"
    )


def add_profile(app: FastAPI, agent: Agent) -> None:
    """The panel's addresses."""

    @app.get("/parley/profile")
    def shown(user: User) -> dict[str, str]:
        return {"html": panel(agent, user), "key": user}

    @app.put("/parley/profile")
    def edited(edit: Edit, user: User) -> dict[str, str]:
        held = agent.profiles.one(user, edit.key)
        agent.profiles.edit(user, edit.key, changed(edit, held, agent.catalog))
        return {"html": panel(agent, user)}

    @app.delete("/parley/profile")
    def dropped(key: Annotated[str, Query(max_length=700)], user: User) -> dict[str, str]:
        agent.profiles.drop(user, key)
        return {"html": panel(agent, user)}

    @app.post("/parley/profile/import")
    async def imported(
        request: Request, name: Annotated[str, Query(max_length=200)], user: User
    ) -> dict[str, str]:
        data = bytearray()
        async for part in request.stream():
            data += part
            if len(data) > MOST_BYTES:
                break
        return await run_in_threadpool(taken_in, agent, user, name, bytes(data))

    @app.get("/parley/profile/export")
    def exported(user: User) -> Response:
        body = json.dumps(agent.keeping.export(user), ensure_ascii=False, indent=1)
        return Response(body, media_type="application/json")

    @app.post("/parley/profile/forget")
    def forgotten(user: User) -> dict[str, str]:
        agent.forget(user)
        return {"html": panel(agent, user)}


def taken_in(agent: Agent, user: str, name: str, data: bytes) -> dict[str, str]:
    """Keep an uploaded history."""
    if len(data) > MOST_BYTES:
        raise PageError(f"That file is larger than {MOST_BYTES // 1_000_000} MB.", 413)
    name = re.sub(r"[^\w .()-]", "_", name)[-80:] or "history.csv"
    found = read_history(data, name, agent.catalog)
    agent.profiles.add(user, name, found.known)
    noun = agent.catalog.domain.noun_one
    return {"html": panel(agent, user), "told": told(name, len(found.known), found.unmatched, noun)}
