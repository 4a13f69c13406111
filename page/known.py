"""What was understood, as chips: each with the words it came from, to remove or to edit.

Pure functions from beliefs to HTML text. A chip's editor is typed by what it edits: a number
for a bound, values with suggestions for categories and people, an attitude for an item, a
direction for a soft wish. Each editable part carries its belief as JSON, so that the browser
(page/static/known.js) sends back a whole, typed belief and the server need not guess.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from agent.beliefs import visible
from agent.phrases import clauses_text, label, listed
from agent.state import About, Beliefs, DialogueState, Mention, Turn, Wish
from catalog.filters import Clause
from catalog.items import Catalog, Domain, Facet
from page.cards import titled
from page.html import attributes, button, escape

Kind = Literal["clauses", "mentions", "wishes", "about"]
GROUPS = (
    ("must", "Must have"),
    ("like", "You like"),
    ("dislike", "Not for you"),
    ("seen", "You have seen"),
    ("named", "You mentioned"),
    ("wish", "Leaning towards"),
    ("about", "About"),
)
OPERATORS = {
    "number": (("ge", "at least"), ("le", "at most")),
    "date": (("ge", "from"), ("le", "until")),
    "values": (("any", "any of"), ("all", "all of"), ("none", "none of")),
}
MENTIONED = {
    "like": "like",
    "dislike": "dislike",
    "reject": "dislike",
    "seen": "seen",
    "neutral": "named",
}
ATTITUDES = (
    ("like", "I like it"),
    ("dislike", "I do not like it"),
    ("seen", "I know it already"),
    ("reject", "Not this time"),
)


class Chip(NamedTuple):
    """One belief, or the two ends of one range: places in ``Beliefs.<kind>``."""

    group: str
    kind: Kind
    places: tuple[int, ...]
    words: str
    said: str
    turn: int


def understood(state: DialogueState, catalog: Catalog) -> str:
    """Everything held true of the person, in groups; what to expect while there is nothing."""
    held = chips(state.beliefs, catalog, state.turns)
    dial = adventurous(state.beliefs.adventure, usable=bool(state.turns))
    if not held:
        return (
            '<p class="empty">Nothing yet. What I understand of your wishes will stand here, '
            f"and you can change it at any time.</p>{dial}"
        )
    parts: list[str] = []
    for name, title in GROUPS:
        mine = [chip for chip in held if chip.group == name]
        if mine:
            drawn = "".join(chip_html(chip, state, catalog) for chip in mine)
            parts.append(
                f'<section class="group {name}"><h3>{escape(title)}</h3><ul>{drawn}</ul></section>'
            )
    return "".join(parts) + dial


def chips(beliefs: Beliefs, catalog: Catalog, turns: Sequence[Turn] = ()) -> list[Chip]:
    """The beliefs that are shown. An item that was only asked about says nothing of a taste."""
    shown = visible(beliefs, turns)["mentions"]
    held: list[Chip] = []
    for places, words in clause_phrases(beliefs.clauses, catalog.domain):
        clause = beliefs.clauses[places[0]]
        held.append(Chip("must", "clauses", places, words, clause.said, clause.turn))
    for k, mention in enumerate(beliefs.mentions):
        if k in shown:
            words = titled(catalog, mention.item_id)
            group = MENTIONED[mention.attitude]
            held.append(Chip(group, "mentions", (k,), words, mention.said, mention.turn))
    for k, wish in enumerate(beliefs.wishes):
        held.append(Chip("wish", "wishes", (k,), wish_phrase(wish, catalog), wish.said, wish.turn))
    for k, about in enumerate(beliefs.about):
        held.append(Chip("about", "about", (k,), about.text, about.text, about.turn))
    return held


def clause_phrases(clauses: Sequence[Clause], domain: Domain) -> list[tuple[tuple[int, ...], str]]:
    """Places in ``clauses`` and the phrase that says them; the ends of a range go together."""
    by_name = {facet.name: facet for facet in domain.facets}
    result: list[tuple[tuple[int, ...], str]] = []
    done: set[int] = set()
    for k, clause in enumerate(clauses):
        if k in done:
            continue
        others = [
            j
            for j in range(k + 1, len(clauses))
            if clauses[j].field == clause.field and {clause.op, clauses[j].op} == {"ge", "le"}
        ]
        places = (k, *others[:1])
        done |= set(places)
        if clause.field in by_name:
            phrase = chip_words(by_name[clause.field], [clauses[j] for j in places])
        else:  # kept from a conversation over another catalogue
            phrase = f"{clause.field} {clause.op} {', '.join(map(str, clause.values))}"
        result.append((places, phrase))
    return result


def chip_words(facet: Facet, clauses: Sequence[Clause]) -> str:
    """ "At most 90 minutes", "By Greta Gerwig", "Genres: comedy or drama", "Genre: not horror"."""
    clause = clauses[0]
    speaking = facet.role in ("maker", "people", "origin", "language") or facet.phrase
    if clause.op in ("ge", "le") or speaking:
        phrase = clauses_text({facet.name: facet}, clauses)[0][1].removeprefix("that are ")
        if clause.op in ("ge", "le"):
            phrase = re.sub("^(of|for|with) (?=at |exactly |[0-9])", "", phrase)
        return phrase[:1].upper() + phrase[1:]
    values = listed([label(facet, v) for v in clause.values], "and" if clause.op == "all" else "or")
    name = facet.label if len(clause.values) == 1 else facet.plural
    return f"{name.capitalize()}: {'not ' if clause.op == 'none' else ''}{values}"


def wish_phrase(wish: Wish, catalog: Catalog) -> str:
    scale = next((s.label for s in catalog.domain.scales if s.name == wish.scale), wish.scale)
    words = f"{'More' if wish.direction > 0 else 'Less'} {scale}"
    if wish.relative_to and catalog.has(wish.relative_to):
        words += f" than {catalog.item(wish.relative_to).title}"
    return words


def chip_html(chip: Chip, state: DialogueState, catalog: Catalog) -> str:
    form = editor(chip, state.beliefs, catalog)
    where = ",".join(map(str, chip.places))
    change = (
        button(
            "",
            image="edit",
            class_="icon",
            name=f"Change: {chip.words}",
            data_open=True,
            aria_expanded="false",
        )
        if form
        else ""
    )
    remove = button(
        "",
        image="close",
        class_="icon",
        name=f"Remove: {chip.words}",
        data_remove=where,
        data_kind=chip.kind,
    )
    return (
        f'<li class="chip"><div class="row"><span class="words">{escape(chip.words)}</span>'
        f"{change}{remove}</div>{source(chip, state)}{form}</li>"
    )


def source(chip: Chip, state: DialogueState) -> str:
    """The person's words and which of their messages said it, as a way there."""
    if chip.turn < 0 and chip.kind in ("clauses", "wishes") and standing(chip, state.beliefs):
        said = f"“{escape(chip.said)}” · " if chip.said else ""
        return f'<p class="from">{said}from your profile</p>'
    if chip.turn < 0 or chip.turn >= len(state.turns):
        return '<p class="from">Set by you</p>' if not chip.said else ""
    message = sum(turn.role == "user" for turn in state.turns[: chip.turn + 1]) - 1
    update = state.turns[chip.turn].update
    by_hand = update is not None and update.read_by == "page"
    words = "Set by you" if by_hand or not chip.said else f"“{escape(chip.said)}”"
    return (
        f'<p class="from"><a href="#message-{message}"{attributes(data_message=message)}>'
        f"{words} · message {message + 1}</a></p>"
    )


def standing(chip: Chip, beliefs: Beliefs) -> bool:
    """Whether a chip came out of the person's profile."""
    return any(getattr(beliefs, chip.kind)[place].scope == "always" for place in chip.places)


def editor(chip: Chip, beliefs: Beliefs, catalog: Catalog) -> str:
    """The form that changes this chip; "" for what nothing can be done with but remove it."""
    parts = "".join(fields(chip, place, beliefs, catalog) for place in chip.places)
    if not parts:
        return ""
    return (
        f'<form class="editor" hidden{attributes(aria_label=f"Change: {chip.words}")}>{parts}'
        '<p class="problem" role="alert" hidden></p><div class="buttons">'
        '<button type="submit" class="solid">Save</button>'
        f"{button('Cancel', class_='quiet', data_cancel=True)}</div></form>"
    )


def fields(chip: Chip, place: int, beliefs: Beliefs, catalog: Catalog) -> str:
    held: Clause | Mention | Wish | About = getattr(beliefs, chip.kind)[place]
    match held:
        case Clause():
            inner = clause_fields(held, catalog.domain)
        case Mention():
            named = (("neutral", "I only named it"),) if held.attitude == "neutral" else ()
            known = (*named, *ATTITUDES)
            inner = select("attitude", known, held.attitude, "What you think of it")
        case Wish():
            scale = next((s for s in catalog.domain.scales if s.name == held.scale), None)
            label = scale.label if scale else held.scale
            options = (("1", f"more {label}"), ("-1", f"less {label}"))
            inner = select("direction", options, str(held.direction), "Direction")
        case About():
            inner = (
                '<input name="text" required maxlength="200" aria-label="What it is about"'
                f"{attributes(value=held.text)}>"
            )
    if not inner:
        return ""
    given = attributes(data_kind=chip.kind, data_place=place, data_value=held.model_dump_json())
    return f"<fieldset{given}>{inner}</fieldset>"


def clause_fields(clause: Clause, domain: Domain) -> str:
    facet = next((f for f in domain.facets if f.name == clause.field), None)
    if facet is None:
        return ""
    if facet.kind == "number" and clause.op in ("ge", "le"):
        options = OPERATORS["date" if facet.role == "date" else "number"]
        value = float(clause.values[0])
        unit = f"<span>{escape(facet.unit)}</span>" if facet.unit and facet.role != "date" else ""
        return (
            select("op", options, clause.op, f"Kind of bound on {facet.label}")
            + f'<input name="number" type="number" step="any" required inputmode="decimal"'
            f"{attributes(value=f'{value:g}', aria_label=facet.label.capitalize())}>{unit}"
        )
    options = OPERATORS["values"]
    if facet.kind == "number":
        options = (("any", "any of"), ("none", "none of"))
    boxes = "".join(value_box(facet, str(value)) for value in (*clause.values, ""))
    chosen = select("op", options, clause.op, f"Which {facet.plural}")
    return f'{chosen}<div class="values"{attributes(data_field=facet.name)}>{boxes}</div>'


def value_box(facet: Facet, value: str) -> str:
    kind = "number" if facet.kind == "number" else "text"
    return (
        f'<input name="value" autocomplete="off"{attributes(type=kind, value=value)}'
        f"{attributes(list=f'values-{facet.name}', aria_label=facet.label.capitalize())}"
        f"{attributes(placeholder=None if value else f'add a {facet.label}')}>"
    )


def select(name: str, options: Sequence[tuple[str, str]], chosen: str, label: str) -> str:
    drawn = "".join(
        f"<option{attributes(value=value, selected=value == chosen)}>{escape(words)}</option>"
        for value, words in options
    )
    return f"<select{attributes(name=name, aria_label=label)}>{drawn}</select>"


def adventurous(level: float, *, usable: bool) -> str:
    """The dial from the well known to the out of the way."""
    hint = "" if usable else '<p class="from">From your first message on.</p>'
    return (
        '<section class="dial"><label for="adventure">Be more adventurous</label>'
        f'<input id="adventure" type="range" min="0" max="1" step="0.25"'
        f"{attributes(value=f'{level:g}', disabled=not usable)}>"
        f'<div class="ends" aria-hidden="true"><span>well known</span><span>off the beaten track'
        f"</span></div>{hint}</section>"
    )
