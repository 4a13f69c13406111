# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""How many items were asked for: "three more", "just one", "a list of ten", "two westerns".

Read from a text in which names, references and amounts are covered, so that "the first two", "12
Monkeys" and "a tent for two people" ask for no number of items.
"""

import re
from typing import Final

from agent.reading.speech import Speech

MOST: Final = 10
_VALUE: Final = {
    "single": 1, "one": 1, "two": 2, "couple": 2, "pair": 2, "three": 3, "few": 3, "several": 4,
    "four": 4, "five": 5, "six": 6, "half": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "dozen": 10, "handful": 5, "another": 1,
}  # fmt: skip
_N: Final = r"(?P<n>(?:half a|a half|a) dozen|half-dozen|\d{1,3}|(?:a )?(?:couple|pair|handful)(?: of)?|(?:a )?few|several|(?:just |only |a )?(?:one|single)|two|three|four|five|six|seven|eight|nine|ten)"
_MORE: Final = r"(?:more|other|others|different|additional|new ones|further)"
_THINGS: Final = r"(?:@NOUN|suggestions?|recommendations?|options?|ideas?|choices?|picks?|titles?)"
_PATTERNS: Final = (
    rf"\b(?:say|so|like|maybe|perhaps|make (?:it|that)|let'?s say),? {_N}\W*(?:please)?\W*$",
    rf"\b(?:lists?|selection|set|top|choice) of {_N}\b",
    rf"\banother {_N}\b",
    rf"\b{_N} {_MORE}\b",
    rf"\b(?:top|best) {_N}\b",
    rf"\b(?:give|show|find|recommend|suggest|list|tell|get|send|want|need|name|have|see|offer)(?: me| us)? (?:the |your )?(?:top |best |another |just |only |about |at least |exactly )?{_N} (?:[\w-]+ ){{0,3}}?{_THINGS}\b",
    rf"^\W*(?:(?:ok|okay|yes|please|and|just|only|maybe|then|,|i'?d like|i want|i need|give me|show me) )*{_N} (?:[\w-]+ ){{0,3}}?{_THINGS}\b(?! (?:is|was|are|were)\b(?! enough))",
    rf"(?:[,;.!:]|\bok|\bokay|\bjust|\bonly) {_N} (?:[\w-]+ ){{0,3}}?{_THINGS}\b(?! (?:is|was|are|were)\b(?! enough))",
    rf"\b(?:give|show|find|list|get|send|name|suggest|recommend|(?:i|we)(?:'d| would) like|(?:i|we) want|(?:i|we) need)(?: me| us)? (?:just |only )?{_N}(?: of them| ones?)?\W*(?:please|instead.*)?\W*$",
    rf"^\W*(?:just |only |please )?{_N}(?: of (?:them|these|those))?(?:,? please| only| at a time| is enough| are enough| will do| would do| this time| instead)+\W*$",
    r"\b(?:just|only) (?P<n>one)\b(?! (?:of|that|thing|who|with|from|by))",
    rf"^\W*(?:just|only) {_N}\W*$",
    rf"\b{_N} (?:suggestions?|recommendations?|options?|ideas|choices|picks)\b",
    r"^\W*(?P<n>another)(?: one| @NOUN)?\W*(?:please)?\W*$",
    rf"\b{_N} instead of {_N.replace('?P<n>', '?:')}\b",
    rf"^\W*{_N} \S+ ones\W*$",
)  # fmt: skip


def read_count(covered: str, speech: Speech) -> int | None:
    """How many items were asked for, 1 to ``MOST``; None when no number was said."""
    for pattern in _PATTERNS:
        m = speech.pattern(pattern).search(covered)
        if m is not None:
            return _number(m.group("n"))
    return None


def whole_list(text: str) -> bool:
    """Is the list as a whole to be so long ("make that a list of ten"), and not the addition?"""
    low = text.lower()
    return bool(re.search(r"\b(?:list of|make (?:it|that)|instead)\b", low)) and not re.search(
        rf"\b(?:{_MORE}|another)\b", low
    )


def _number(said: str) -> int | None:
    if said.isdigit():
        return min(int(said), MOST) or None
    words = re.findall(r"[a-z]+", said)
    return next((_VALUE[w] for w in words if w in _VALUE), 1)
