"""The Trace panel: choose a turn, see how it came about, change it and run on from there.

``shown`` makes the panel's HTML; page/static/trace.js works it (copying, the candidate list,
running). Step-in mode is offered on the last turn: what was understood, as JSON that pydantic
and the catalogue check, or the list of candidates, which may be reordered, shortened and added
to by title. Nothing is run here: the script checks with ``POST /parley/beliefs`` (``routes``)
and then asks the page for a turn of kind "rerun", see the head of trace.js.
"""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from agent.agent import Agent
from agent.state import Beliefs, DialogueState, Turn
from catalog.errors import ParleyError
from catalog.filters import compile
from catalog.items import Catalog
from page.talk import Exchange, exchanges
from page.trace import cut, empty_html, title_of, trace_html

BELIEFS_PATH = "/parley/beliefs"
MAX_STEPS = 30  # candidates that can be edited; more would be a list nobody reads
MAX_JSON = 50_000  # characters


class StepInError(ParleyError):
    """What a person typed in step-in mode cannot be run; says which field, and why."""


def shown(state: DialogueState, catalog: Catalog, turn: int = -1) -> dict[str, Any]:
    """The panel for the reply at place ``turn`` of the conversation; -1 is the newest.

    ``{"html", "turn"}``; a place where no reply stands shows the newest.
    """
    pairs = exchanges(state.turns)
    if not pairs:
        return {"html": empty_html(), "turn": -1}
    pair = next((one for one in pairs if one.at == turn), pairs[-1])
    parts = [chooser(pairs, pair)]
    if pair.reply is None:
        parts.append('<p class="trace-empty">This turn is not finished: nothing to show yet.</p>')
    else:
        parts.append(trace_html(pair.reply, state, catalog))
        parts.append(step_in(state, pair.reply, catalog) if pair is pairs[-1] else elsewhere())
    return {"html": "".join(parts), "turn": pair.at}


def chooser(pairs: Sequence[Exchange], chosen: Exchange) -> str:
    """The list of turns, newest first."""
    options = [
        f'<option value="{pair.at}"{" selected" if pair is chosen else ""}>'
        f"{pair.message + 1}. {escape(cut(pair.said.text, 60))}"
        f" → {escape(str((pair.reply and pair.reply.act) or 'no reply'))}</option>"
        for pair in pairs[::-1]
    ]
    return (
        '<label class="trace-turn">Turn <select data-trace-turn>'
        f"{''.join(options)}</select></label>"
    )


def elsewhere() -> str:
    return (
        '<p class="trace-empty">Step in works on the last turn: choose it above, or undo '
        "until this one is the last.</p>"
    )


def step_in(state: DialogueState, last: Turn, catalog: Catalog) -> str:
    """The editor: beliefs as JSON, the candidates as a list, and the button that runs."""
    text = beliefs_json(understood_beliefs(state, last))
    candidates = last.trace.candidates[:MAX_STEPS] if last.trace else []
    many = escape(catalog.domain.noun_many)
    lists = (
        f"<h4>Candidates, best first</h4>"
        '<p class="trace-empty">What you keep here is all that the language model may choose '
        f"from; the order counts as retrieval's own. Up to {MAX_STEPS} {many}.</p>"
        f"{steps_html(candidates, catalog)}"
        '<p class="trace-add"><label for="trace-add">Add by title</label>'
        '<input id="trace-add" type="text" maxlength="300" autocomplete="off" '
        'data-suggest="title"><button type="button" data-do="add">Add</button></p>'
    )
    return (
        '<details class="trace-step"><summary>Step in: change this turn and run it again</summary>'
        '<label for="trace-beliefs">What is understood, as JSON</label>'
        f'<textarea id="trace-beliefs" rows="14" spellcheck="false" maxlength="{MAX_JSON}">'
        f"\n{escape(text)}</textarea>"
        + (lists if last.slate is not None else "")
        + '<p><button type="button" class="trace-run" data-do="run" data-run>'
        "Run from here</button> "
        '<span class="trace-said" role="status"></span></p></details>'
    )


def understood_beliefs(state: DialogueState, last: Turn) -> Beliefs:
    """The beliefs as they stood right after the last message was understood.

    Answering adds what it showed and asked; run again with those, a slate would avoid itself.
    """
    beliefs, asked = state.beliefs, state.beliefs.asked
    earlier = {i for t in state.turns if t is not last and t.slate for i in t.slate.item_ids}
    fresh = set(last.slate.item_ids if last.slate else ()) - earlier
    if last.act == "ask":
        asked = asked[:-1]
    shown = tuple(i for i in beliefs.shown if i not in fresh)
    return beliefs.model_copy(update={"shown": shown, "asked": asked})


def beliefs_json(beliefs: Beliefs) -> str:
    return json.dumps(beliefs.model_dump(mode="json"), ensure_ascii=False, indent=2)


def parse_beliefs(text: str, catalog: Catalog) -> Beliefs:
    """Beliefs from the editor. ``StepInError`` names the field, the value and what would do."""
    if len(text) > MAX_JSON:
        raise StepInError(f"The text has {len(text):,} characters; at most {MAX_JSON:,} are read.")
    try:
        beliefs = Beliefs.model_validate(json.loads(text), extra="forbid")
    except json.JSONDecodeError as error:
        raise StepInError(
            f"Line {error.lineno}, column {error.colno} is not JSON ({error.msg}): "
            "check quotes, commas and brackets there."
        ) from error
    except RecursionError as error:
        raise StepInError("The brackets are nested too deep: beliefs are flat lists.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole text"
        raise StepInError(
            f"{where}: {first['msg']}, got {cut(json.dumps(first['input'], default=str), 60)}."
        ) from error
    check_against(beliefs, catalog)
    return beliefs


def check_against(beliefs: Beliefs, catalog: Catalog) -> None:
    """Everything named must exist in the catalogue."""
    for place, clause in enumerate(beliefs.clauses):
        try:
            compile(catalog, [clause])
        except ParleyError as error:
            raise StepInError(f"clauses.{place}: {error}") from error
    if not 0 <= beliefs.adventure <= 1:
        raise StepInError(f"adventure: takes a number from 0 to 1, got {beliefs.adventure!r}.")
    scales = [scale.name for scale in catalog.domain.scales]
    named = [
        *((f"mentions.{k}.item_id", m.item_id) for k, m in enumerate(beliefs.mentions)),
        *((f"wishes.{k}.relative_to", w.relative_to) for k, w in enumerate(beliefs.wishes)),
        *((f"shown.{k}", item_id) for k, item_id in enumerate(beliefs.shown)),
    ]
    for where, item_id in named:
        if item_id is not None and not catalog.has(item_id):
            raise StepInError(f"{where}: no item {item_id!r} in this catalogue.")
    for place, wish in enumerate(beliefs.wishes):
        if wish.scale not in scales:
            raise StepInError(
                f"wishes.{place}.scale: no scale {wish.scale!r}; there are {', '.join(scales)}."
            )


def steps_html(steps: Sequence[str], catalog: Catalog) -> str:
    """The candidates with a button each for up, down and out; the script moves the rows."""
    rows = "".join(step_html(item_id, title_of(item_id, catalog)) for item_id in steps)
    return f'<ol class="steps" aria-label="Candidates">{rows}</ol>'


def step_html(item_id: str, title: str) -> str:
    name = escape(title, quote=True)
    buttons = "".join(
        f'<button type="button" data-do="{do}" aria-label="{word}: {name}">{sign}</button>'
        for do, sign, word in (
            ("up", "↑", "Move up"),
            ("down", "↓", "Move down"),
            ("remove", "×", "Remove"),
        )
    )
    return (
        f'<li data-item="{escape(item_id, quote=True)}"><span>{escape(title)}</span>'
        f"<span>{buttons}</span></li>"
    )


def routes(agent: Agent) -> list[Route]:
    """``POST /parley/beliefs``: the editor's text in, ``{"beliefs"}`` or ``{"error"}`` out."""

    async def check(request: Request) -> JSONResponse:
        if int(request.headers.get("content-length", "0") or 0) > 4 * MAX_JSON:
            return JSONResponse({"error": f"At most {MAX_JSON:,} characters are read."}, 413)
        try:
            text = (await request.body()).decode("utf-8", "replace")
            beliefs = parse_beliefs(text, agent.catalog)
        except StepInError as error:
            return JSONResponse({"error": str(error)})  # an answer, not a failure of the request
        return JSONResponse({"beliefs": beliefs.model_dump(mode="json")})

    return [Route(BELIEFS_PATH, check, methods=["POST"])]
