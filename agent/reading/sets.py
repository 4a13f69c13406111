# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Questions about several items at once: which of these, how many of them, the most of all.

"Are any of these under 100 minutes?", "which ones are waterproof?", "how many are from the 90s?"
ask which items on screen meet what the same sentence says; "what's the oldest western you
have?" asks it of the whole catalogue.
"""

import re
from typing import Final, Literal

_START: Final = r"^\W*(?:(?:and|but|ok|okay|so|hmm|well|oh|now),? )*"
_THESE: Final = (
    r"(?:these|those|them|the (?:five|four|three|ten|list)|your (?:list|suggestions|picks))"
)
_HERE: Final = rf"(?:(?:of|among|in|on|from) {_THESE}|of the (?:lot|above)|(?:on|in) (?:the|your|this) list|here)"
_ARE: Final = r"(?:is|are|was|were|has|have|does|do|did|come|comes|can|cost|costs|weigh|weighs|run|runs|last|got|would)"
_WHICH: Final = re.compile(
    rf"{_START}(?:{_ARE} (?:any|some|one|either|all|none|each)(?: one)?(?: of {_THESE})\b"
    rf"|{_ARE} there (?:any|anything|some|something|one|a|an)\b.*\b{_HERE}"
    rf"|{_ARE} (?:these|those|they|both) (?:all|both|any)\b"
    rf"|(?:which|what) (?:ones?|of {_THESE}) (?:\w+ly )?(?!(?:do|should|shall|would|can) (?:i|you|we)\b)\w+\b(?! (?:the )?(?:\w+est|most|least|best|better|worse|more|less|\w+er)\b)"
    rf"|any of {_THESE}\b)"
)
_COUNT: Final = re.compile(rf"{_START}how many (?:of {_THESE}|{_ARE}|there)\b")
_ALL_THERE_IS: Final = re.compile(
    r"\b(?:(?:you|we) (?:have|sell|stock|carry|know|offer|got|can offer|'ve got)|you'?ve got|(?:in|of) (?:the|your|this) (?:whole )?(?:catalogue|catalog|shop|store|range|collection|library|database)|of all(?: time)?\b|there (?:is|are)\b|ever (?:made|written))"
)


def of_a_set(sentence: str, shown: bool) -> Literal["which", "count"] | None:
    """The kind of question a lower-case sentence asks of the slate, if it does."""
    if not shown:
        return None
    if _COUNT.match(sentence):
        return "count"
    return "which" if _WHICH.match(sentence) else None


def of_everything(sentence: str, shown: bool) -> bool:
    """Is a superlative meant of the whole catalogue: "... you have"?"""
    return bool(_ALL_THERE_IS.search(sentence)) or not shown
