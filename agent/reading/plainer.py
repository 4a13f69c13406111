# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Turns put into the words that the rules know: other ways of asking for the same thing.

Every rewriting keeps the meaning: "could it be less slow?" is "make it less slow", "not as heavy
as" is "lighter than", "at most as long as" is "no longer than".
"""

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agent.reading.lexicon import Lexicon
    from agent.reading.measures import Measure

_SLIGHTLY: Final = (
    r"(?:a (?:bit|little|lot|touch|good deal) |much |slightly |somewhat |even |far )?"
)
_PLAINER: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), plain)
    for pattern, plain in (
        (r",? what(?:'s| is)? next\b\??", ". Anything else?"),
        (r"\b((?:1[89]|20)\d\d) at the latest\b", r"not after \1"),
        (r"\b((?:1[89]|20)\d\d) at the earliest\b", r"not before \1"),
        (
            rf"\b(?:can|could|might|would) (?:it|they|that|these|those|you make (?:it|them)) (?:please )?be (?={_SLIGHTLY}(?:less|more|\w+er)\b)",
            "make it ",
        ),
        (
            rf"\b(?:can|could|would|will) you make (?:it|them|that|those) (?={_SLIGHTLY}(?:less|more|\w+er)\b)",
            "make it ",
        ),
        (r",? after all\b(?=\W|$)", ""),
        (r"(?<=\w) any ?(?:more|longer)\b(?=\W*$| *[,.;!?])", ""),
        (r"\bthe age of (?:the|a|an) (?:film|movie|book|novel)s?\b", "the year"),
        (r"\b(?:unimportant|irrelevant)\b", "not important"),
        (r"\bi(?:'d)? (?:like to )?take back (?=the |what )", "forget "),
    )
)


def plainer(text: str) -> str:
    """``text`` with other ways of asking put plainly."""
    for pattern, plain in _PLAINER:
        text = pattern.sub(plain, text)
    return text


_VERBS: Final = {"money": "costs?", "weight": "weighs?"}  # "costs less than" is "cheaper than"


def compare_plainly(text: str, lexicon: "Lexicon") -> str:
    """ "not as heavy as the second" -> "lighter than the second", for every measure there is."""
    for measure in lexicon.measures.values():
        more, less = _first(measure.more), _first(measure.less)
        verb = _VERBS.get(measure.kind)
        for how, plain in (("less", less), ("more", more)) if verb else ():
            text = re.sub(rf"\b(?:that |which )?{verb} {how} than\b", f"{plain} than", text)
        if not more or not less:
            continue
        for words, up, down in ((_much(measure), more, less), (measure.little, less, more)):
            text = _as_as(text, words, up, down)
    return text


def _as_as(text: str, words: tuple[str, ...], more: str, less: str) -> str:
    for word in words:
        pattern = rf"\b(?P<how>at most|at least|no more|(?:is|are)?(?:n't|not|no)(?: quite| nearly)?)(?: be)? (?:as|so) (?:{word}) as\b"
        text = re.sub(
            pattern, lambda m: _said(m.group("how").lower(), more, less), text, flags=re.I
        )
    return text


def _said(how: str, more: str, less: str) -> str:
    if how in ("at most", "no more"):
        return f"no {more} than"
    return f"no {less} than" if how == "at least" else f"{less} than"


def _much(measure: "Measure") -> tuple[str, ...]:
    """Adjectives for a lot of it; of a date these are the new ones."""
    return (*measure.much, "well rated", "good") if measure.kind == "stars" else measure.much


def _first(patterns: tuple[str, ...]) -> str:
    return patterns[0].replace("\\", "") if patterns else ""
