"""The conversation as HTML text: exchanges of a message and its reply, cards under the reply.

Pure functions from the agent's types. An exchange is what one message brought about, so it is
also what edit, retry and undo work on; the browser replaces whole exchanges and keeps nothing
else. A thing done on the page ("Not Arrival") is an exchange too, drawn quieter than words.
"""

from collections.abc import Sequence
from typing import NamedTuple

from agent.phrases import listed
from agent.state import Act, DialogueState, Plan, Turn, Unit
from catalog.items import Catalog
from page.cards import slate
from page.html import attributes, button, escape, thumbs
from page.known import clause_phrases
from page.proof import unit_html


class Exchange(NamedTuple):
    """One message of the person and the reply to it; ``at`` is the reply's place in the turns."""

    message: int
    said: Turn
    reply: Turn | None
    at: int


def exchanges(turns: Sequence[Turn]) -> list[Exchange]:
    """The turns in pairs. A message without a reply is one that was cut off."""
    found: list[Exchange] = []
    for place, turn in enumerate(turns):
        if turn.role == "user":
            found.append(Exchange(len(found), turn, None, place + 1))
        elif found and found[-1].reply is None:
            found[-1] = found[-1]._replace(reply=turn, at=place)
    return found


def conversation(
    state: DialogueState, catalog: Catalog, *, first: int = 0, remote_images: bool = False
) -> list[str]:
    """The exchanges from ``first`` on; the newest one also offers what its plan offers."""
    pairs = exchanges(state.turns)
    return [
        exchange(
            pair,
            catalog,
            turns=state.turns[: pair.at],
            plan=state.plan if pair is pairs[-1] else None,
            remote_images=remote_images,
        )
        for pair in pairs[first:]
    ]


def exchange(
    pair: Exchange,
    catalog: Catalog,
    *,
    turns: Sequence[Turn] = (),
    plan: Plan | None = None,
    remote_images: bool = False,
) -> str:
    """A whole exchange. ``turns``: everything up to the reply, for the words it answers."""
    if pair.reply is None:
        inner = trouble("This answer was cut off. Your message is kept.", again="resume")
    else:
        inner = reply(pair.reply, catalog, turns=turns, remote_images=remote_images)
        inner += choices(pair.reply.act, plan, catalog) + after(pair)
    return wrapped(said(pair.said, pair.message), inner)


def pending(text: str, message: int, *, quiet: bool) -> str:
    """An exchange whose reply is on its way: the dots stay until something verified comes."""
    turn = Turn(role="user", text=text)
    dots = '<p class="thinking" role="status"><i></i><i></i><i></i><span>Thinking</span></p>'
    return wrapped(said(turn, message, quiet=quiet), f'<div class="said"></div>{dots}')


def wrapped(message: str, inner: str) -> str:
    return f'<section class="exchange">{message}<div class="reply">{inner}</div></section>'


def said(turn: Turn, message: int, *, quiet: bool | None = None) -> str:
    """The person's message; something done on the page is a quiet line that cannot be edited."""
    done = turn.update is not None and turn.update.read_by == "page" if quiet is None else quiet
    if done:
        return f'<p class="did" id="message-{message}" tabindex="-1">{escape(turn.text)}</p>'
    edit = button("", image="edit", class_="icon", name="Edit this message", data_edit=message)
    return (
        f'<div class="you" id="message-{message}" tabindex="-1">{edit}'
        f'<p class="bubble">{escape(turn.text)}</p></div>'
    )


def reply(
    turn: Turn, catalog: Catalog, *, turns: Sequence[Turn] = (), remote_images: bool = False
) -> str:
    """Sentences, then the cards; a reply that was stopped says so."""
    shown = turn.slate.item_ids if turn.slate else ()
    sentences = [unit for unit in turn.units if not (shown and unit.item_id)]
    text = "".join(sentence(unit, catalog, turns) for unit in sentences)
    if not text and not shown and turn.text:
        text = f"<span>{escape(turn.text)}</span>"
    cards = ""
    if turn.slate:
        # What a stop cut off never came: no place is kept for it.
        told = {unit.item_id for unit in turn.slate.reasons}
        ids = [i for i in shown if i in told]
        if ids:
            cards = slate(
                ids, turn.slate.reasons, catalog, turns=turns, remote_images=remote_images
            )
    stopped = '<p class="stopped">Stopped.</p>' if turn.stopped else ""
    return f'<div class="said">{text}</div>{cards}{stopped}'


def sentence(unit: Unit, catalog: Catalog, turns: Sequence[Turn] = ()) -> str:
    return f"<span>{unit_html(unit, catalog, turns)} </span>"


def choices(act: Act | None, plan: Plan | None, catalog: Catalog) -> str:
    """What the reply offers to press: likely answers, or the constraints to give up, in the
    words of their chips."""
    if plan is None or act is None:
        return ""
    if act == "blocked" and plan.relax:
        drawn = [
            button(f"Drop {listed(dropped)}", class_="choice", data_relax=place)
            for place, clauses in enumerate(plan.relax)
            if (dropped := [f"“{words}”" for _, words in clause_phrases(clauses, catalog.domain)])
        ]
    elif act == "ask" and plan.options:
        drawn = [button(words, class_="choice", data_say=words) for words in plan.options]
    else:
        return ""
    return f'<div class="choices" role="group" aria-label="Answers">{"".join(drawn)}</div>'


def after(pair: Exchange) -> str:
    """What can be done about this reply; only the newest can be tried again or taken back."""
    return (
        '<div class="after">'
        + button("Try again", image="retry", class_="mini last", data_turn="retry")
        + button("Undo", image="undo", class_="mini last", data_turn="undo")
        + button("How this came about", image="trace", class_="mini", data_trace=pair.at)
        + thumbs("this reply", data_at=pair.at)
        + "</div>"
    )


def trouble(why: str, *, again: str) -> str:
    """A reply that failed: what went wrong, and the way on."""
    retry = button("Try again", image="retry", class_="choice", data_turn=again)
    return f'<div class="trouble" role="alert"><p>{escape(why)}</p>{retry}</div>'


def hero(catalog: Catalog) -> str:
    """What stands where a conversation will stand."""
    domain = catalog.domain
    openers = "".join(
        f"<li>{button(line, class_='opener', data_say=line)}</li>" for line in domain.openers[:6]
    )
    return (
        f"<h1>Which {escape(domain.noun_one)} shall it be?</h1>"
        f"<p>Say it as you would to a friend. I know {len(catalog):,} "
        f"{escape(domain.noun_many)}, I suggest no other, and whatever I claim you can check: "
        f"point at it and see what it rests on.</p>"
        + (f'<ul class="openers"{attributes(aria_label="Examples")}>{openers}</ul>')
    )
