# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Which of its meanings a word has here: a category, a language, a scale ("romantic", "French")."""

import re
from typing import Final

from agent.reading.lexicon import Found, Lexicon, ScaleWord, Value

_LANGUAGE_CUE: Final = re.compile(
    r"(?:\bin|spoken|speaking|speak|dubbed|language|subtitles?)[\s-]*$"
)


_LANGUAGE_AFTER: Final = re.compile(
    r"^[\s-]*(?:language|speaking|spoken|dubbed|subtitle[sd]?|audio|dialogue|with)\b"
)


INSIST: Final = re.compile(r"\b(?:must|(?<!not )(?<!n't )(?:has|have|needs?) to)\b[^.,;!?]{0,30}$")


DEGREE: Final = re.compile(
    r"\b(?P<d>more|less|too|not so|not as|not too|not that|not very|not overly|not particularly|isn'?t (?:too|so|that|very|as)|less of|a bit too|way too|overly|so)\s+(?:\w+ly\s+)?(?:a |an )?$"
)


def pick(found: Found, low: str, lexicon: Lexicon) -> Value | ScaleWord:
    """The reading of a surface that its context asks for."""
    scale = next((e for e in found.entries if isinstance(e, ScaleWord)), None)
    values = [e for e in found.entries if isinstance(e, Value)]
    if values and INSIST.search(low[: found.start]):
        scale = None
    degree = DEGREE.search(low[max(0, found.start - 30) : found.start])
    if scale is not None and degree and degree.group("d") in ("more", "less"):
        return scale  # "less literary" is no ban on a category
    if scale is not None:
        own = [v for v in values if names_itself(v, found.said, lexicon)]
        if not own or scale.compares:
            return scale
        values = own
    by_role = {lexicon.facets[v.facet].role: v for v in values}
    before, after = low[: found.start], low[found.end :]
    if "language" in by_role and (
        _LANGUAGE_CUE.search(before) or _LANGUAGE_AFTER.match(after) or "origin" not in by_role
    ):
        return by_role["language"]
    for role in ("category", "origin", "audience", "maker", "tag", "mood"):
        if role in by_role:
            return by_role[role]
    return values[0]


def names_itself(value: Value, said: str, lexicon: Lexicon) -> bool:
    """ "romance" names the category Romance; "funny" is only a synonym of Comedy."""
    if lexicon.facets[value.facet].role != "category":
        return False
    if len(value.values) > 1:
        return True
    stem = said.lower().rstrip("s")
    name = value.values[0].lower()
    return stem[:3] == name[:3] and said.lower() != "romantic"


def beside_category(
    found: list[Found], n: int, entry: Value | ScaleWord, low: str, lexicon: Lexicon
) -> Value | ScaleWord:
    """ "romantic thriller": an adjective right before a category is a category too."""
    if not isinstance(entry, ScaleWord) or entry.compares or n + 1 >= len(found):
        return entry
    own = [e for e in found[n].entries if isinstance(e, Value)]
    own = [e for e in own if lexicon.facets[e.facet].role == "category"]
    following = pick(found[n + 1], low, lexicon)
    if (
        not own
        or low[found[n].end : found[n + 1].start].strip()
        or isinstance(following, ScaleWord)
    ):
        return entry
    return own[0] if following.facet == own[0].facet else entry
