"""What is left when everything read has been taken out: the words to search by meaning.

"something hopeful about grief, after 2000, no Nolan" leaves "hopeful about grief".
"""

import re
from typing import Final

from agent.reading.cues import Scopes
from tools.names import Token

_STOP: Final = frozenset(
    """a about above after again all also am an and any anybody anyone anything are as at be because been before being
    best better bit both but by came can cant come could couldnt did didnt different do does doesnt doing done dont
    each easy else enough ever every everyone few find fine first for from general genuinely get getting give go going
    good got great had has have havent having he hello help her here hers hey hi him his how however i id idea ideas if
    ill im in interesting into is isnt it its ive just keen kind kinda know last least less let lets like liked likes
    list little long look looking lot love loved make making many may maybe me mean might mind mine more most much my
    need never new next nice no none not nothing now of off ok okay on one ones only open option options or other
    others our out over perhaps please pretty prefer quite rather really recommend recommendation recommendations
    recommended right same say see seen she should show since so some somebody someone something sort still such
    suggest suggestion suggestions suggestion sure take tell than thank thanks that thats the their them then there
    theres these they thing things think this those though to today tonight too top try type under up us use usual
    usually very want wants was wasnt watch watched watching way we week weekend well were what whatever when where
    which while who whole why will wish with without wont would wouldnt yeah yep yes yet you your preferably
    stuff anyway actually instead fairly somewhat feel feeling fancy mood evening night bored lately recently hmm um
    uh oh ah ooh alright cool awesome amazing lol haha hope hoping search searching want wanna gonna favourite favorite
    favourites favorites enjoy enjoyed enjoys fan set involving featuring starring deals dealing around based made
    directed director year years old older newer recent decade minutes hours hour age available must absolutely
    definitely ideally guess suppose called named title version choose choosing pick help family-friendly
    give gave bring myself yourself could've i'd you're it's don't that's i'm i've let's what's there's can't
    part kind kinds sorts types terms nothing everything else'n btw either neither nor lead role popular
    famous classic hidden gem gems similar along lines another goodbye bye hi hey hello cheers welcome weather morning afternoon done perfect vein style spirit""".split()
)
_INTRO: Final = re.compile(
    r"\b(?:about|where|involving|set (?:in|on|during|at|around)|revolv\w+ around|deal(?:s|ing) with|centered (?:on|around)|"
    r"focus(?:ed|ing|es) on|with|featuring|in which|based on|related to|themes? of|that (?:has|have|is|are)|full of|on the (?:topic|subject|theme) of)\s"
)
_SPLIT: Final = re.compile(r"[.!?\n;,]|\bbut\b|\bplease\b|\bthanks?\b|\bthank you\b")
MAX_WORDS: Final = 24


def read_about(
    low: str,
    toks: list[Token],
    hard: list[tuple[int, int]],
    soft: list[tuple[int, int]],
    scopes: Scopes,
    nouns: frozenset[str],
    eager: bool,
    subjects: list[tuple[int, int]] | None = None,
) -> str:
    """The words of a turn that describe a subject or feeling; "" when there are none.

    ``hard`` spans are used up; ``soft`` ones (moods, themes) stay in. ``eager``: the turn
    is an answer or nothing else was read, so bare words count as a subject. ``subjects``:
    stretches that the encoder takes for one.
    """
    pieces: list[list[Token]] = [[]]
    for n, tok in enumerate(toks):
        blocked = any(s < tok.end and e > tok.start for s, e in hard)
        gap = low[toks[n - 1].end : tok.start] if n else ""
        if _SPLIT.search(gap) or tok.word in ("but", "please") or blocked:
            pieces.append([])
        operator = scopes.operator(tok.start)
        cue = any(c.start <= tok.start < c.end for c in scopes.cues)
        excluded = operator in ("not", "dislike", "retract", "indifferent", "seen", "unseen")
        if blocked or excluded or (cue and tok.word != "about"):
            if not (cue and operator == "none"):
                pieces.append([])
            continue
        pieces[-1].append(tok)
    kept = []
    for piece in pieces:
        words = _trim(piece, nouns)
        if not words:
            continue
        start = words[0].start
        lead = low[max(0, start - 24) : start]
        softly = any(s >= start and e <= words[-1].end for s, e in soft)
        cue_at = scopes.at(start)
        wanted = cue_at is not None and cue_at.operator in ("want", "like")
        introduced = bool(_INTRO.search(lead + low[start : words[-1].end]))
        told = any(s < words[-1].end and e > start for s, e in subjects or ())
        if eager or softly or introduced or wanted or told:
            kept.append(low[start : words[-1].end])
    text = " ".join(", ".join(kept).split())
    return " ".join(text.split(" ")[:MAX_WORDS])


def _trim(piece: list[Token], nouns: frozenset[str]) -> list[Token]:
    """A piece without function words, nouns of the domain, and fillers at either end."""
    empty = _STOP | nouns
    words = list(piece)
    while words and (words[0].word in empty or words[0].word.isdigit()):
        words.pop(0)
    while words and (words[-1].word in empty or words[-1].word.isdigit()):
        words.pop()
    return words if any(len(w.word) > 2 for w in words) else []
