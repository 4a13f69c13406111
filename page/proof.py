"""What a reply rests on: each name or claim in it as a piece that can be asked for its proof.

A verified unit knows the evidence of its spans. Here a span becomes something to focus, point
at or tap, which carries the catalogue's field, the field's whole value and where that is from;
page/static/proof.js shows them. A span that answers the person carries their own words.
"""

from collections.abc import Sequence
from typing import NamedTuple

from agent.phrases import number, value_text
from agent.state import Evidence, Turn, Unit
from catalog.items import Catalog
from page.html import attributes, escape

SOURCES = {
    "fact": "Catalogue",
    "editorial": "Catalogue, editorial note",
    "user": "You said so",
    "computed": "Worked out from the catalogue",
}
MAX_VALUES = 12  # of a list in one tooltip
WORDING = ("<noun>", "<nouns>", "<count>")  # slots that claim nothing


class Words(NamedTuple):
    """Something the person said, and in which of their messages (0-based; -1: not known)."""

    said: str
    message: int


def unit_html(unit: Unit, catalog: Catalog, turns: Sequence[Turn] = ()) -> str:
    """The unit's text with its spans as proofs. ``turns``: the conversation up to it."""
    parts: list[str] = []
    place = 0
    for span in sorted(unit.spans, key=lambda s: (s.start, -s.end)):
        if span.start < place or span.end > len(unit.text):
            continue  # inside the one before it: the wider span stands for both
        if span.evidence.slot in WORDING:
            continue
        parts.append(escape(unit.text[place : span.start]))
        inner = escape(unit.text[span.start : span.end])
        parts.append(proof(inner, span.evidence, catalog, turns))
        place = span.end
    return "".join(parts) + escape(unit.text[place:])


def proof(inner: str, evidence: Evidence, catalog: Catalog, turns: Sequence[Turn] = ()) -> str:
    """``inner`` (already safe) as a span that shows on what ``evidence`` rests."""
    label, value = field_of(evidence, catalog)
    said = words_for(evidence, turns)
    known = evidence.item_id is not None and catalog.has(evidence.item_id)
    item = catalog.item(str(evidence.item_id)) if known else None
    about = item.title if item and evidence.field not in (None, "title") else ""
    address = item.link if item and evidence.source in ("fact", "editorial") else None
    given = {
        "data-label": f"{label} of {about}" if about and label else label,
        "data-value": value,
        "data-source": SOURCES[evidence.source],
        "data-said": said.said if said else "",
        "data-message": str(said.message) if said and said.message >= 0 else "",
        "data-link": address if address and address.startswith("http") else "",
    }
    kind = "own" if said or evidence.source == "user" else "fact"
    filled = {name: text for name, text in given.items() if text}
    return f'<span class="proof {kind}" tabindex="0"{attributes(**filled)}>{inner}</span>'


def field_of(evidence: Evidence, catalog: Catalog) -> tuple[str, str]:
    """The field's label and its whole value: ("Cast", "Amy Adams, Jeremy Renner, ...")."""
    name = evidence.field
    facets = {facet.name: facet for facet in catalog.domain.facets}
    scales = {scale.name: scale for scale in catalog.domain.scales}
    if name in scales:
        return f"How {scales[name].label}", evidence.text
    if name == "title":
        return "Title", evidence.text
    if name not in facets:
        return ("Your words" if evidence.source == "user" else ""), evidence.text
    facet = facets[name]
    if evidence.source == "user" or not (evidence.item_id and catalog.has(evidence.item_id)):
        return facet.label.capitalize(), evidence.text
    value = catalog.item(evidence.item_id).values.get(facet.name)
    if isinstance(value, tuple):
        more = f" and {len(value) - MAX_VALUES} more" if len(value) > MAX_VALUES else ""
        label = facet.plural if len(value) > 1 else facet.label
        return label.capitalize(), ", ".join(str(v) for v in value[:MAX_VALUES]) + more
    if isinstance(value, int | float) and facet.role != "audience":
        return facet.label.capitalize(), number(float(value), facet.unit)
    text = evidence.text if value is None else value_text(facet, value)
    return facet.label.capitalize(), text


def words_for(evidence: Evidence, turns: Sequence[Turn]) -> Words | None:
    """The person's own words behind a piece of evidence, the newest first."""
    if evidence.source != "user" and not evidence.slot.startswith("<u"):
        return None
    messages = [turn for turn in turns if turn.role == "user"]
    for place in range(len(messages) - 1, -1, -1):
        update = messages[place].update
        if update is None or update.read_by == "page":
            continue
        for mention in update.mentions:
            if evidence.item_id and mention.item_id == evidence.item_id and mention.said:
                return Words(mention.said, place)
        for clause in update.add:
            if evidence.field and clause.field == evidence.field and clause.said:
                return Words(clause.said, place)
        for text in (*(w.said for w in update.wishes), *(a.text for a in update.about)):
            # "something sad" stands in the reply for the person's "sad"
            if text and evidence.text.endswith(text):
                return Words(text, place)
    return None
