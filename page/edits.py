"""A belief edited by hand, checked before a turn is spent on it.

What people type into a chip's editor is put into the catalogue's own spelling ("comedy" is
"Comedy"), and what the catalogue cannot know is refused with the nearest thing it does know.
"""

from difflib import get_close_matches
from typing import Any

from agent.state import About, Beliefs, Mention, Replace, Wish
from catalog.errors import FilterError
from catalog.filters import Clause, compile_one
from catalog.items import Catalog, Facet

MAX_SUGGESTED = 40


def canonical(action: Replace, beliefs: Beliefs, catalog: Catalog) -> Replace:
    """``action`` with its value as the catalogue writes it, and no longer in the person's words.

    Raises:
        FilterError: no such place, another kind of belief there, or a value that cannot be.
    """
    held = getattr(beliefs, action.kind)
    if not 0 <= action.place < len(held) or type(held[action.place]) is not type(action.value):
        raise FilterError("That has changed meanwhile: reload the page to see it as it is.")
    value = action.value
    match value:
        case Clause():
            value = clause(value, catalog).model_copy(update={"scope": "now"})
        case About(text=text):
            if not text.strip():
                raise FilterError("Say what it is to be about, or remove it.")
            value = value.model_copy(update={"text": text.strip()})
        case Mention() | Wish():
            pass
    return action.model_copy(update={"value": value})


def clause(value: Clause, catalog: Catalog) -> Clause:
    facet = catalog.facet(value.field)
    if facet.kind != "number":
        values = tuple(dict.fromkeys(spelled(str(v), facet, catalog) for v in value.values))
        value = value.model_copy(update={"values": values})
    compile_one(catalog, value)
    return value


def spelled(typed: str, facet: Facet, catalog: Catalog) -> str:
    """The catalogue's spelling of a value, by itself or by a synonym."""
    wanted = typed.strip().casefold()
    known = {str(v).casefold(): str(v) for v in catalog.values(facet.name)}
    if wanted in known:
        return known[wanted]
    if wanted in facet.synonyms:
        return facet.synonyms[wanted]
    near = get_close_matches(wanted, known, n=1)
    hint = f"; did you mean {known[near[0]]}?" if near else "."
    raise FilterError(f"No {facet.label} “{typed.strip()}” in this catalogue{hint}")


def suggested(facet: Facet, prefix: str, catalog: Catalog) -> list[Any]:
    """Values of a facet for the editor's list: commonest first, any word starting so."""
    wanted = prefix.strip().casefold()
    found: list[Any] = []
    for value in catalog.values(facet.name):
        text = str(value).casefold()
        if text.startswith(wanted) or f" {wanted}" in text:
            found.append(value)
        if len(found) == MAX_SUGGESTED:
            break
    return found
