"""What a turn is about in words of no facet, and whether it is a request of its own."""

import re
from typing import Final

from agent.reading import intents
from agent.reading.pieces import Pieces, Reading
from agent.reading.remainder import read_about
from agent.reading.sensed import sensed_subjects
from agent.reading.values import Said
from agent.state import StateUpdate
from tools.names import tokens

_NOTHING_ABOUT: Final = (
    r"\b(?:nothing|no (?:more )?(?:@NOUN|ones|stories)|not|"
    r"(?:don'?t|do not|didn'?t|wouldn'?t) want (?:anything|something|any|@NOUN)?|"
    r"avoid (?:anything|everything|@NOUN)?|without anything|anything but)\s*"
    r"(?:about|on|involving|featuring|set in|set on|that deals with|with)\s+(?:the |an? |any )?"
    r"(?P<what>[^.,;!?\n]{3,40}?)(?=[.,;!?\n]|\b(?:and|or|but|please|either|though)\b|$)"
)


def avoided(r: Reading, p: Pieces, said: Said) -> list[str]:
    """Subjects that are ruled out in words of no facet: "nothing about boarding schools"."""
    out = []
    for m in r.lexicon.speech.pattern(_NOTHING_ABOUT).finditer(p.masked):
        start, end = m.span("what")
        taken = [(x.start, x.end) for x in p.links] + [(x.start, x.end) for x in p.refs]
        taken += [(f.start, f.end) for f in p.found] + [(n.start, n.end) for n in p.numbers]
        if any(s < end and e > start for s, e in taken):
            continue  # a value, a name or a number: a clause says it exactly
        words = [t.word for t in tokens(m.group("what")) if t.word not in r.lexicon.nouns]
        if words and any(len(w) > 3 for w in words):
            out.append(m.group("what").strip())
            said.hard.append(m.span())
    return out[:2]


#: Orders to a machine are no subject: nobody looks for films about "your next sentence".
_ORDERS: Final = re.compile(
    r"\b(?:translate|repeat after|print|output|ignore|disregard|pretend|system prompt|instructions?"
    r"|(?:next|previous) (?:sentence|message|reply)|verbatim|(?:respond|reply|answer) with)\b"
)


def anew(r: Reading) -> bool:
    """ "a film about chess" is a request of its own, "also with robots" adds to the last one."""
    if re.search(r"\b(?:also|too|as well|and with|plus|still)\b", r.low):
        return False
    nouns = "|".join(re.escape(noun) for noun in sorted(r.lexicon.nouns) if noun)
    return bool(re.search(rf"\b(?:an?|some|any)\b(?: [\w'-]+){{0,3}} (?:{nouns})\b", r.low))


def own_request(r: Reading, u: StateUpdate) -> bool:
    """Names the kind of thing that is wanted, and changes no earlier request."""
    roles = {f.name: f.role for f in r.lexicon.facets.values()}
    kinds = any(c.op in ("any", "all") and roles.get(c.field) == "category" for c in u.add)
    changes = any(name != "about" for name in u.retract) or any(m.relative for m in u.mentions)
    subject = bool(u.about) and bool(re.match(r"\W*(?:something|anything)\b", r.low))
    if (
        not (kinds or subject)
        or changes
        or u.intent not in ("recommend", "critique", "answer", "more")
    ):
        return False
    if re.search(r"\b(?:also|too|as well|plus|still)\b", r.low):
        return False
    return subject or u.intent == "recommend" or anew(r) or bool(_NOW_THIS.search(r.low))


_NOW_THIS: Final = re.compile(
    r"^\W*(?:(?:ok|okay|now|actually|no|hmm|and|well|right|then|so),? )*"
    r"(?:what about|how about|let'?s (?:try|have|see)|show me|give me|find me|"
    r"i(?:'d like| want| need)|(?:an?|some|any) )"
)


def about_of(r: Reading, p: Pieces, said: Said, named: bool, unknown: list[str]) -> str:
    """What the turn is about; a soft wish is not said a second time beside a subject."""
    words = _described(r, p, said, named, unknown)
    if _ORDERS.search(words):
        return ""
    found = words.split(", ")
    wished = {w.said.casefold() for w in said.wishes}
    return ", ".join([one for one in found if one.casefold() not in wished] or found)


def _described(r: Reading, p: Pieces, said: Said, named: bool, unknown: list[str]) -> str:
    hard = list(said.hard)
    for name in unknown:
        place = r.text.find(name)
        hard.append((place, place + len(name)))
    answering = intents.last_act(r.state) == "ask"
    shown = bool(r.state.slate.item_ids)
    eager = answering or (not shown and not (said.add or said.wishes or said.retract or named))
    long_chat = len(r.toks) > 14 and not answering
    subjects = sensed_subjects(r.sensed) if r.sensed is not None else []
    return read_about(
        r.low,
        r.toks,
        hard,
        said.soft,
        p.scopes,
        r.lexicon.nouns | r.lexicon.labels | r.lexicon.fillers,
        eager and not long_chat,
        subjects,
    )
