"""Slips of the finger in the words that carry a request: "somthing newwer, a comdey".

Only words that are neither everyday words nor part of any name are looked at, and only the
catalogue's own vocabulary and a few words of the trade may replace them. Names are left to
the linker, which mends them against names.
"""

import re
from typing import Final

from rapidfuzz import fuzz, process
from rapidfuzz.distance import DamerauLevenshtein

from agent.reading.lexicon import Lexicon
from tools.find_title import TitleLinker
from tools.names import UNSEEN_RANK, fold, rank

MAX_SLIPS: Final = 8  # words mended in a turn
_TRADE: Final = tuple(
    "something anything nothing everything before after newer older longer shorter recent "
    "recently between without similar recommend "
    "recommendation suggest suggestion another already favourite favorite "
    "really please minutes hours thirties forties fifties sixties seventies eighties nineties "
    "tonight language country english different instead except under looking thanks".split()
)
_WORD: Final = re.compile(r"[^\W\d_]{5,}")


def _everyday(word: str) -> bool:
    """Is it, or what it is inflected from, in the vocabulary: "funniest", "nineties"?"""
    stems = {word}
    for ending in ("est", "er", "ly", "ing", "ed", "es", "s", "ness", "ish", "y"):
        if word.endswith(ending):
            stem = word[: -len(ending)]
            stems |= {stem, stem + "e", stem[:-1]}
            stems |= {stem[:-1] + "y"} if stem.endswith("i") else set()
    return any(len(s) > 2 and rank(s) < UNSEEN_RANK for s in stems)


def respell(text: str, lexicon: Lexicon, linker: TitleLinker) -> str:
    """``text`` with misspelt words of the trade and the catalogue put right."""
    mended = 0

    def mend(m: re.Match[str]) -> str:
        nonlocal mended
        word = fold(m.group())
        if mended >= MAX_SLIPS or _everyday(word) or linker.knows(word) or word in lexicon.words:
            return m.group()
        near = process.extractOne(
            word, (*_TRADE, *lexicon.spoken, *lexicon.words), scorer=fuzz.ratio, score_cutoff=75
        )
        slips = 1 if len(word) < 7 else 2
        if near is None or near[0][0] != word[0]:
            return m.group()
        if DamerauLevenshtein.distance(word, near[0]) > slips:
            return m.group()
        mended += 1
        return str(near[0])

    return _WORD.sub(mend, text)
