# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""What is left when everything read has been taken out: the words to search by meaning.

"something hopeful about grief, after 2000, no Nolan" leaves "hopeful about grief".
"""

import re
from typing import Final

from agent.reading.cues import Scopes
from tools.names import Token, fold

_WORDS: Final = """
    random seem seems sound sounds together
    a about above absolutely actually after afternoon again age ah all along alright also am
    amazing an and another any anybody anyone anything anyway are around as at available back
    awesome based be because been before being best better bit bored both bring btw but by bye
    called couple came released can can't cant cheers choose choosing classic come cool could could've couldnt
    dealing deals decade definitely did didnt different do does doesnt doing
    don't done dont each easy either else else'n enjoy enjoyed enjoys enough evening ever
    every everyone everything fairly family-friendly famous fan fancy favorite favorites
    favourite favourites featuring feel feeling few find fine first for from gave gem gems
    general genuinely get getting give go going gonna good goodbye got great guess had haha
    has have havent having he hello help her here hers hey hi hidden him his hmm hope hoping
    hour hours how however i i'd i'm i've id idea ideally ideas if ill im in instead
    interesting into involving is isnt it it's its ive just keen kind kinda kinds know last
    lately least less let let's lets like liked likes lines list little lol long look
    looking lot love loved made make making many may maybe me mean might mind mine minutes
    mood more morning most much must my myself named need neither never new newer next nice
    night no none nor not nothing now of off oh ok okay old older on one ones only ooh open
    option options or other others our out over part perfect perhaps pick please popular
    prefer preferably pretty quite rather really recent recently recommend recommendation
    recommendations recommended right role same say search searching see seen set she should
    show similar since so some somebody someone something somewhat sort sorts spirit starring
    still stories story stuff style such suggest suggestion suggestions suppose sure take tell terms than
    thank thanks that that's thats the their them then there there's theres these they thing
    things think this those though title to today tonight too top try type types uh um under
    up us use usual usually vein version very wanna want wants was wasnt way we weather week weekend welcome well were what what's whatever when where
    which while who whole why will wish with without wont would wouldnt yeah year years yep
    yes yet you you're your yourself
    """.split()
STOP: Final = frozenset(fold(w) for w in _WORDS)
_COMPANY: Final = re.compile(
    r"\b(?:with|for) (?:my|our|the|his|her|some|a few|a|an)(?: \w+){0,2}? (?:mum|mom|mother|dad|father|grand\w+|"
    r"wife|husband|girlfriend|boyfriend|partner|friends?|mates?|brothers?|sisters?|parents?|family|kids?|"
    r"child(?:ren)?|sons?|daughters?|nephews?|nieces?|date|group|roommates?|colleagues?|cousins?)\b"
)
_INTRO: Final = re.compile(
    r"\b(?:about|where|involving|set (?:in|on|during|at|around)|revolv\w+ around|deal(?:s|ing) with|"
    r"centered (?:on|around)|focus(?:ed|ing|es) on|with|featuring|in which|based on|related to|"
    r"themes? of|that (?:has|have|is|are)|full of|on the (?:topic|subject|theme) of)\s"
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
    hard = [*hard, *(m.span() for m in _COMPANY.finditer(low))]
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
        words = _trim(piece, nouns, soft)
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


def _trim(piece: list[Token], nouns: frozenset[str], soft: list[tuple[int, int]]) -> list[Token]:
    """A piece without function words, nouns of the domain, and fillers at either end."""

    def empty(t: Token) -> bool:
        filler = t.word in STOP or t.word in nouns or t.word.isdigit()
        return filler and not any(s <= t.start < e for s, e in soft)

    words = list(piece)
    while words and empty(words[0]):
        words.pop(0)
    while words and empty(words[-1]):
        words.pop()
    return words if any(len(w.word) > 2 for w in words) else []
