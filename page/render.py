"""Cards, beliefs and messages as HTML text: pure functions from the agent's types.

The page's parts are plain strings made here, so they can be tested without a browser, and
every word that comes from a person or a catalogue passes through ``escape`` in this file.
Nothing is drawn with pictures from elsewhere: a card's tile is a colour, initials and a year.
What stands on a card follows from the facets' roles, so another catalogue needs no new code.
"""

from collections.abc import Sequence
from html import escape
from typing import Any, Literal

from agent.agent import Removable
from agent.phrases import clauses_text, value_text
from agent.state import Beliefs, DialogueState, Mention, Turn, Wish
from catalog.filters import Clause
from catalog.items import Catalog, Domain, Facet, Item

ATTITUDES = {
    "like": "You liked",
    "dislike": "You did not like",
    "seen": "You have seen",
    "reject": "You turned down",
    "neutral": "You named",
}
LITTLE_WORDS = {"a", "an", "and", "in", "of", "on", "or", "the", "to"}
MAX_NAMES = 3  # people or categories on a card's line
GOLDEN_ANGLE = 137.508  # degrees: successive multiples of it stay apart on the colour wheel


def messages(state: DialogueState, catalog: Catalog) -> list[dict[str, Any]]:
    """The conversation for the chat component."""
    return [bubble(turn.role, words(turn, catalog)) for turn in state.turns]


def bubble(role: Literal["user", "agent"], text: str) -> dict[str, Any]:
    """One message. The component reads tags even where its Markdown is off, so none get in."""
    return {"role": "user" if role == "user" else "assistant", "content": escape(text, quote=False)}


def words(turn: Turn, catalog: Catalog) -> str:
    """What a turn's bubble says; the reasons of a slate stand on its cards instead."""
    if turn.role == "user":
        return turn.text
    shown = turn.slate.item_ids if turn.slate else ()
    said = " ".join(unit.text for unit in turn.units if not (shown and unit.item_id))
    return reply(said, shown, catalog) or turn.text


def reply(said: str, item_ids: Sequence[str], catalog: Catalog) -> str:
    """An agent's message: its sentences, then the titles whose cards stand beside it."""
    lines = [said] if said else []
    for number, item_id in enumerate(item_ids, 1):
        # A conversation may be older than the catalogue: an item can be gone.
        title = titled(catalog, item_id) if catalog.has(item_id) else "no longer in the catalogue"
        lines.append(f"{number}. {title}")
    return "\n".join(lines)


def titled(catalog: Catalog, item_id: str) -> str:
    item = catalog.item(item_id)
    year = first_value(item, catalog.domain, "date")
    return f"{item.title} ({year})" if year else item.title


def cards(state: DialogueState, catalog: Catalog) -> str:
    """The cards of the newest slate, or a line that says what will stand here."""
    reasons = {unit.item_id: unit.text for unit in state.slate.reasons}
    return card_list([(i, reasons.get(i, "")) for i in state.slate.item_ids], catalog)


def card_list(shown: Sequence[tuple[str, str]], catalog: Catalog, waiting: int = 0) -> str:
    """Cards of ``(item id, reason)`` in rank order, then ``waiting`` empty places."""
    domain = catalog.domain
    drawn = [
        card(catalog.item(item_id), catalog, reason, number)
        for number, (item_id, reason) in enumerate(shown, 1)
        if catalog.has(item_id)
    ]
    drawn += ['<li class="card waiting" aria-hidden="true"></li>'] * waiting
    if not drawn:
        return (
            f'<p class="empty">{escape(domain.noun_many.capitalize())} stand here once found.</p>'
        )
    label = f"Recommended {domain.noun_many}"
    return f'<ol class="cards" aria-label="{escape(label, quote=True)}">{"".join(drawn)}</ol>'


def card(item: Item, catalog: Catalog, reason: str, number: int) -> str:
    """One item: a drawn tile, its facts, and the reason it is shown."""
    domain = catalog.domain
    title = escape(item.title)
    if item.link and item.link.startswith(("https://", "http://")):
        title = (
            f'<a href="{escape(item.link, quote=True)}" target="_blank" '
            f'rel="noopener noreferrer">{title}</a>'
        )
    facts = [first_value(item, domain, role) for role in ("date", "category", "amount")]
    people = [credit(item, facet) for role in ("maker", "people") for facet in facets(domain, role)]
    return (
        f'<li class="card" data-item="{escape(item.id, quote=True)}">{tile(item, catalog)}'
        f'<div class="facts"><h3><span class="number">{number}.</span> {title}</h3>'
        f'<p class="line">{" · ".join(escape(fact) for fact in facts if fact)}</p>'
        + "".join(f'<p class="line">{line}</p>' for line in people if line)
        + (f'<p class="reason">{escape(reason)}</p>' if reason else "")
        + "</div></li>"
    )


def tile(item: Item, catalog: Catalog) -> str:
    """The drawn poster: the first category's colour, the title's initials, the year."""
    words = [word for word in item.title.split() if word[:1].isalnum()]
    telling = [word for word in words if word.lower() not in LITTLE_WORDS] or words
    initials = "".join(word[0].upper() for word in telling[:3])
    year = first_value(item, catalog.domain, "date")
    return (
        f'<div class="tile" style="{colour(item, catalog)}" aria-hidden="true">'
        f"<span>{escape(initials)}</span><small>{escape(year)}</small></div>"
    )


def colour(item: Item, catalog: Catalog) -> str:
    """CSS variables for the tile: from the first category's hue to the second's.

    The commonest categories get the hues farthest apart; no category at all is grey.
    """
    for facet in facets(catalog.domain, "category"):
        values = item.values.get(facet.name, ())
        ranks = [list(catalog.values(facet.name)).index(value) for value in values[:2]]
        hues = [f"{rank * GOLDEN_ANGLE % 360:.0f}" for rank in ranks]
        if hues:
            return f"--hue: {hues[0]}; --to: {hues[-1]}; --tone: 42%"
    return "--hue: 220; --to: 220; --tone: 8%"


def facets(domain: Domain, role: str) -> list[Facet]:
    return [facet for facet in domain.facets if facet.role == role]


def first_value(item: Item, domain: Domain, role: str) -> str:
    """The words of the first facet with this role that the item has; "" if it has none."""
    for facet in facets(domain, role):
        value = item.values.get(facet.name)
        if isinstance(value, tuple):
            return ", ".join(str(one) for one in value[:MAX_NAMES])
        if value is not None:
            return value_text(facet, value)
    return ""


def credit(item: Item, facet: Facet) -> str:
    """ "Director: Denis Villeneuve", escaped; "" when the field is missing."""
    names = item.values.get(facet.name, ())
    if not names:
        return ""
    label = facet.label if len(names) == 1 else facet.plural
    return f"<b>{escape(label.capitalize())}:</b> {escape(', '.join(names[:MAX_NAMES]))}"


def understood(state: DialogueState, catalog: Catalog) -> str:
    """Everything held true of the person, with their words, each with a remove button."""
    rows = belief_rows(state.beliefs, catalog)
    if not rows:
        return (
            '<details class="known" open><summary>What I have understood</summary>'
            '<p class="empty">Nothing yet. What you tell me stands here, '
            "and you can take it back.</p></details>"
        )
    drawn = "".join(
        f"<li><span><b>{escape(text)}</b><small>{escape(source(said, turn, state))}</small></span>"
        f'<button type="button" data-kind="{kind}" data-places="{places}" '
        f'aria-label="Forget: {escape(text, quote=True)}" title="Forget this">×</button></li>'
        for kind, places, text, said, turn in rows
    )
    return (
        f'<details class="known" open><summary>What I have understood ({len(rows)})</summary>'
        f"<ul>{drawn}</ul></details>"
    )


def belief_rows(beliefs: Beliefs, catalog: Catalog) -> list[tuple[Removable, str, str, str, int]]:
    """``(kind, places in that list "0,2", words, what was said, turn)`` for each belief.

    The two ends of a range on one facet are one row and are removed together.
    """
    rows: list[tuple[Removable, str, str, str, int]] = []
    noun = catalog.domain.noun_many.capitalize()
    for places, phrase in clause_phrases(beliefs.clauses, catalog.domain):
        clause = beliefs.clauses[places[0]]
        where = ",".join(map(str, places))
        rows.append(("clauses", where, f"{noun} {phrase}", clause.said, clause.turn))
    for k, wish in enumerate(beliefs.wishes):
        rows.append(("wishes", str(k), wish_phrase(wish, catalog), wish.said, wish.turn))
    for k, about in enumerate(beliefs.about):
        rows.append(("about", str(k), f"About: {about.text}", about.text, about.turn))
    for k, mention in enumerate(beliefs.mentions):
        phrase = mention_phrase(mention, catalog)
        rows.append(("mentions", str(k), phrase, mention.said, mention.turn))
    return rows


def clause_phrases(clauses: Sequence[Clause], domain: Domain) -> list[tuple[tuple[int, ...], str]]:
    """Places in ``clauses`` and the phrase that says them."""
    by_name = {facet.name: facet for facet in domain.facets}
    result: list[tuple[tuple[int, ...], str]] = []
    done: set[int] = set()
    for k, clause in enumerate(clauses):
        if k in done:
            continue
        ends = {clause.op, "le" if clause.op == "ge" else "ge"}
        others = [
            j
            for j in range(k + 1, len(clauses))
            if clauses[j].field == clause.field
            and {clause.op, clauses[j].op} == ends == {"ge", "le"}
        ]
        places = (k, *others[:1])
        done |= set(places)
        if clause.field in by_name:
            phrase = clauses_text(by_name, [clauses[j] for j in places])[0][1]
        else:  # kept from a conversation over another catalogue
            phrase = f"{clause.field} {clause.op} {', '.join(map(str, clause.values))}"
        result.append((places, phrase))
    return result


def wish_phrase(wish: Wish, catalog: Catalog) -> str:
    scale = next((s.label for s in catalog.domain.scales if s.name == wish.scale), wish.scale)
    words = f"{'More' if wish.direction > 0 else 'Less'} {scale}"
    if wish.relative_to and catalog.has(wish.relative_to):
        words += f" than {catalog.item(wish.relative_to).title}"
    return words


def mention_phrase(mention: Mention, catalog: Catalog) -> str:
    known = catalog.has(mention.item_id)
    title = titled(catalog, mention.item_id) if known else mention.item_id
    return f"{ATTITUDES[mention.attitude]} {title}"


def source(said: str, turn: int, state: DialogueState) -> str:
    """The person's words and which of their messages said it."""
    number = sum(t.role == "user" for t in state.turns[: turn + 1])
    place = f"message {number}" if turn >= 0 else ""
    return ", ".join(part for part in (f"“{said}”" if said else "", place) if part)
