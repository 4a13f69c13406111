# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Turns that only make sense after the turn before: "and the newest?", "without him".

Two small passes around the reading of a turn: ``spell_out`` rewrites a few elliptic or
misspelt phrases before it, ``carry_over`` resolves what refers to held beliefs after it.
"""

import re
from typing import Final

from rapidfuzz.distance import Levenshtein

from agent.reading import intents
from agent.reading.lexicon import ScaleWord
from agent.reading.pieces import Reading
from agent.state import DialogueState, StateUpdate
from catalog.filters import Clause
from tools.names import tokens

_COMPARATIVES: Final = ("newer", "older", "longer", "shorter", "earlier", "later", "cheaper", "more", "less")  # fmt: skip
_NOT_MORE: Final = re.compile(
    r"\b(?:(?:should|must|ca|can|may|could|wo|would|need)(?:n't|not| not)|not)\s+(?:to )?(?:be |run |go |last |take |cost )?(?:any |much )?"
    rf"({'|'.join(_COMPARATIVES)}) than\b",
    re.IGNORECASE,
)
_THAN: Final = re.compile(r"\b([a-z]{4,9}) than\b", re.IGNORECASE)
#: "the last twenty years" is a time, not the last item of the slate.
_LAST_YEARS: Final = re.compile(
    r"\bthe (?=(?:last|past) (?:\w+ ){0,2}?(?:years?|decades?)\b)(\w*)", re.IGNORECASE
)
_AND_THE: Final = re.compile(
    r"^\W*(?:and|what about|how about|or)\s+(the (?:most |least )?\w+)\W*$", re.IGNORECASE
)
_PERFORM: Final = re.compile(
    r"\b(?:tell|sing|write|say|read)(?: me| us)? (?:a |an |the |some |another )?(?:joke|story|poem|song|riddle|rhyme)s?\b"
)
_WITHOUT_THEM: Final = re.compile(
    r"\b(?:without (?:him|her|them)|(?:by|from|with) (?:someone|somebody|people) else|(?:by|from|with) other (\w+))\b"
)
_ALLOWED: Final = re.compile(
    r"\b(?:is|are|would be|'s) (?:actually |also |totally |perfectly )?(?:fine|ok|okay|allowed|all ?right|acceptable)\b"
)


def spell_out(text: str, state: DialogueState) -> str:
    """The turn with misspelt comparatives mended and follow-up superlatives written out."""
    text = _NOT_MORE.sub(lambda m: f"no {m.group(1)} than", text)
    text = _THAN.sub(_mend, text)
    text = _LAST_YEARS.sub(r"\1", text)
    asked = _AND_THE.match(text)
    if asked and intents.last_act(state) == "compare" and state.slate.item_ids:
        return f"which is {asked.group(1)} of these?"
    return text


def _mend(match: re.Match[str]) -> str:
    word = match.group(1).casefold()
    if word in _COMPARATIVES or word in ("other", "rather"):
        return match.group()
    near = [c for c in _COMPARATIVES if Levenshtein.distance(word, c, score_cutoff=1) <= 1]
    return f"{near[0]} than" if len(near) == 1 else match.group()


def carry_over(r: Reading, update: StateUpdate) -> StateUpdate:
    """The update with what refers to held beliefs resolved. Pure; ``r.state`` is before it."""
    if _PERFORM.search(r.low) and not update.add:
        return StateUpdate(intent="chat", read_by=update.read_by)
    update = _turned_round(r, update)
    update = _without_them(r, update)
    update = _allowed_again(r, update)
    return update


def _turned_round(r: Reading, update: StateUpdate) -> StateUpdate:
    """ "less silly" after "a funny book for the train" takes the earlier words back."""
    turned = {(w.scale, w.direction) for w in update.wishes}
    for about in r.state.beliefs.about:
        for found in r.lexicon.find(about.text, tokens(about.text)):
            scales = [e for e in found.entries if isinstance(e, ScaleWord)]
            if any((e.scale, -e.direction) in turned for e in scales):
                retract = tuple(dict.fromkeys((*update.retract, "about")))
                return update.model_copy(update={"retract": retract})
    return update


def _without_them(r: Reading, update: StateUpdate) -> StateUpdate:
    """ "without him", "by other directors": the person asked for until now is ruled out."""
    match = _WITHOUT_THEM.search(r.low)
    if match is None:
        return update
    people = {f.name: f for f in r.lexicon.facets.values() if f.kind == "people"}
    held = [c for c in r.state.beliefs.clauses if c.field in people and c.op in ("any", "all")]
    word = match.group(1) or ""
    named = [c for c in held if word in (people[c.field].label, people[c.field].plural)]
    meant = named[-1:] or held[-1:]
    if not meant:
        return update
    none = Clause(
        field=meant[0].field, op="none", values=meant[0].values, said=match.group(), turn=r.turn
    )
    changed = {"add": (*update.add, none), "about": (), "unknown": (), "question": None}
    return update.model_copy(update={**changed, "intent": "critique"})


def _allowed_again(r: Reading, update: StateUpdate) -> StateUpdate:
    """ "horror is fine actually" after "no horror" lifts the ban; it does not ask for horror."""
    if not _ALLOWED.search(r.low):
        return update
    add, retract = list(update.add), list(update.retract)
    for clause in update.add:
        banned = next(
            (
                c
                for c in r.state.beliefs.clauses
                if c.field == clause.field and c.op == "none" and set(clause.values) & set(c.values)
            ),
            None,
        )
        if banned is None or clause.op not in ("any", "all"):
            continue
        add.remove(clause)
        retract.append(clause.field)
        rest = tuple(v for v in banned.values if v not in clause.values)
        others = [c for c in r.state.beliefs.clauses if c.field == clause.field and c != banned]
        add += [*others, *([banned.model_copy(update={"values": rest})] if rest else [])]
    return update.model_copy(update={"add": tuple(add), "retract": tuple(retract)})
