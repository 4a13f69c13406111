# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Facets spoken of by name: "any year is fine", "forget the director", "I don't mind the genre"."""

import re
from typing import Final

from agent.reading.cues import Scopes
from agent.reading.lexicon import Lexicon
from agent.reading.values import Said
from agent.state import DialogueState

_FREE: Final = re.compile(
    r"\b(?:any|whatever|whichever|no matter (?:the|what|which)|all|every|no particular|no specific|open to (?:any|all)|not fussed about(?: the)?)\s+$"
)
_FREE_AFTER: Final = re.compile(
    r"^\s*(?:(?:can|may|could) be (?:anything|any|whatever|open)\b|(?:is|are)(?:n'?t| not| no) (?:an? |the )?(?:big )?(?:issue|object|matter|problem|concern|factor|deal|limit)\b|(?:really )?(?:doesn'?t|does not|don'?t|do not|isn'?t|is not)?\s*(?:matter|important|a (?:big )?(?:deal|issue)|(?:is|are|would be|will be)? ?(?:fine|ok|okay|open|flexible|optional|good|irrelevant))\b)"
)
_EVERYTHING: Final = re.compile(
    r"\b(?:all (?:my |the |of the |of my )?(?:filters?|constraints?|restrictions?|limits?|conditions?|criteria)|everything i said|the filters|my filters)\b"
)
_ANYWHERE: Final = re.compile(r"\b(?:from|made|set) (?:anywhere|wherever)\b")
_SUBJECT: Final = re.compile(
    r"\b(?:the|that|this)\s+(?:\w+\s+){0,2}(?:thing|topic|subject|part|bit|stuff|idea|plot)\b"
)


def read_facet_words(
    low: str, lexicon: Lexicon, state: DialogueState, scopes: Scopes, said: Said
) -> None:
    """Adds to ``said.retract`` and ``said.indifferent`` what facet names are said of."""
    held = {c.field for c in state.beliefs.clauses}
    free_turn = False
    for name, facet in lexicon.facets.items():
        for word in sorted(lexicon.facet_words(name), key=len, reverse=True):
            m = re.search(rf"\b{re.escape(word)}\b", low)
            if m is None:
                continue
            operator = scopes.operator(m.start())
            free = bool(_FREE.search(low[: m.start()])) or bool(_FREE_AFTER.match(low[m.end() :]))
            if operator == "retract":
                if name in held or not any(f in held for f in said.retract):
                    said.retract.append(name)
                    said.hard.append(m.span())
                break
            if free or operator == "indifferent":
                free_turn = True
                said.indifferent.append(name)
                if name in held:
                    said.retract.append(name)
                said.hard.append(m.span())
                break
        del facet
    anywhere = _ANYWHERE.search(low)
    if anywhere and (origin := lexicon.by_role("origin")):
        said.indifferent.append(origin[0].name)
        said.retract += [origin[0].name] if origin[0].name in held else []
        said.hard.append(anywhere.span())
    _prefer_held(said, lexicon, held)
    cue = next((c for c in scopes.cues if c.operator == "retract"), None)
    if cue is None or free_turn:
        return
    if _EVERYTHING.search(low):
        said.retract[:] = ["all"]
    elif not said.retract and _SUBJECT.search(low[cue.start :]) and state.beliefs.about:
        said.retract.append("about")
        said.hard.append((cue.start, len(low)))
    elif not said.retract and state.beliefs.about:
        words = set(re.findall(r"[a-z]{4,}", low[cue.end :]))
        if any(words & set(a.text.lower().split()) for a in state.beliefs.about):
            said.retract.append("about")


def _prefer_held(said: Said, lexicon: Lexicon, held: set[str]) -> None:
    """ "doesn't have to be French": of origin and language, the one that was asked for."""
    twins = {"origin": "language", "language": "origin", "maker": "people", "people": "maker"}
    for n, name in enumerate(said.retract):
        facet = lexicon.facets.get(name)
        if facet is None or name in held or facet.role not in twins:
            continue
        for other in lexicon.by_role(twins[facet.role]):
            if other.name in held:
                said.retract[n] = other.name
