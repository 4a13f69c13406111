# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""How long a wish holds: for this conversation ("tonight"), or always ("as a rule").

The words that say so are taken out of the turn, since none of them says anything of an item;
only "never" and "only ever" stay in a plainer form, because they also refuse or insist. Where
both are said, now wins: nothing is remembered of a person by mistake.
"""

import re
from typing import Final, Literal

from agent.reading.speech import Speech

Scope = Literal["now", "always"]

_DONE_WITH: Final = (
    r"(?:loved?|liked?|enjoyed?|adored?|been|wanted|wondered|thought|felt|had|@DONE)"
)
#: Patterns of always, and what is left of them.
_ALWAYS: Final[list[tuple[str, str]]] = [
    (r"\b(?:from now on|from here on|henceforth|as a (?:general )?rule|in (?:the )?future|for good|permanently|every time|whenever i (?:ask|come|shop|look)\w*|in general|generally(?: speaking)?)\b,?", " "),
    (r"\b(?:please )?(?:remember|keep in mind|note|bear in mind)(?: that)?[:,]?(?= (?:i|we|my|no|never|nothing|always|only)\b)", " "),
    (rf"\b(?<!'ve )(?<!have )(?<!has )(?<!had )always\b(?! {_DONE_WITH})", " "),
    (r"\b(?:i|we) only ever @VERB\b", "only"),
    (r"\bonly ever\b", "only"),
    (r"(?<!have )(?<!'ve )\bnever,? ever\b", "never"),
    (r"\b(?:never|not) (?=(?:want|show|suggest|recommend|give|offer|include|list|@VERB)\b[^.!?]*\bagain\b)", "not "),
    (r"(?<!have )(?<!'ve )\bnever (?:@VERB|want|show(?: me)?|suggest|recommend|give(?: me)?|offer(?: me)?|include|list) (?:to @VERB )?(?:anything|any|something|things?|@NOUN)?\b", "do not want "),
    (r",? (?:ever|at any time)(?= *[.!]*$)", ""),
]  # fmt: skip
_NOW: Final = r"(?:,? ?\b(?:(?:but |only |just )?(?:for )?(?:tonight|today|right now|now|the moment|(?:just )?this (?:once|time)|this (?:evening|afternoon|weekend|trip|week)|once)(?: only| at least)?)\b,?)"
_NOW_MEANT: Final = r"\b(?:tonight|today|right now|for (?:now|the moment|once)|this (?:once|time|evening|afternoon|weekend|trip|week))\b"


def read_scope(text: str, speech: Speech) -> tuple[str, Scope]:
    """The turn without the words that say how long it holds, and how long that is."""
    always = False
    for pattern, left in _ALWAYS:
        text, n = speech.pattern(pattern, re.IGNORECASE).subn(left, text)
        always = always or n > 0
    now = re.search(_NOW_MEANT, text, re.IGNORECASE)
    text = re.sub(_NOW, _unless_named, text)
    return " ".join(text.split(" ")).strip() or text, "always" if always and not now else "now"


def _unless_named(match: re.Match[str]) -> str:
    """Only what is meant as a time goes; "now" alone and "once" alone stay."""
    return " " if re.search(_NOW_MEANT, match.group()) else match.group()
