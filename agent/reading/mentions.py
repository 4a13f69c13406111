# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Items named or pointed at, and what the person thinks of each.

The attitude comes from the operator before a name ("I loved X"), from a verdict after it
("X was boring"), or, for "it" and "these", from the verb beside the pronoun.
"""

import re
from itertools import pairwise
from typing import Final

from agent.reading.cues import Operator
from agent.reading.pieces import Pieces, Reading, within
from agent.reading.questions import Asked
from agent.reading.refs import Ref, focus_item
from agent.state import Attitude, Mention
from tools.find_title import Link

_ATTITUDE: Final[dict[Operator, Attitude]] = {
    "like": "like", "similar": "like", "dislike": "dislike", "not": "reject", "seen": "seen",
    "unseen": "neutral", "want": "neutral", "none": "neutral", "retract": "neutral",
    "indifferent": "neutral",
}  # fmt: skip


_PRAISE: Final = re.compile(
    r"^[\s,]*(?:\([^)]*\)\s*)?(?:(?:which|that|and|but|i|we|it|,|was|is|were|are|thought|think|found|really|so|just|absolutely|'s|one of|to be|an?|the|both|all|also|pretty|quite|very|such|loved|liked|my)\s+){0,8}?"
    r"(?P<good>(?:loved|liked|enjoyed|adored|love|like) (?:it|that|them|those|both)|(?:was|is|were|are|'s|are both|was so|was really|is so|is really|is a|was a|is an|were so|is one of)\s+(?:\w+ly |so |very |pretty |quite |my |an? |the |all[- ]time |both |such a )*(?:great|good|amazing|awesome|excellent|brilliant|fantastic|perfect|wonderful|hilarious|funny|favou?rites?|best|beautiful|superb|fun|masterpiece|incredible|classic|lovely|nice|fave|top)|rocks|rules)\b"
    r"|^[\s,]*(?:(?:which|that|and|but|i|we|it|,|was|is|were|really|so|just|thought|found|'s|it's)\s+){0,6}?(?P<bad>(?:hated|disliked|didn'?t (?:really )?(?:like|enjoy|love)|wasn'?t (?:a fan|into|for me|impressed)|couldn'?t stand|did not (?:like|enjoy)|not (?:a fan|for me|my)|found (?:it|that) (?:boring|dull))|(?:was|is|were|are|'s)\s+(?:\w+ly |so |very |pretty |quite |a bit |kind of |just |too )*(?:terrible|awful|bad|boring|dull|horrible|overrated|meh|disappointing|stupid|rubbish|trash|crap|not (?:good|great|for me|my)|a letdown|too (?:\w+)|slow|weak)|sucked|sucks|bored me)\b"
)


_IT_AFTER: Final = re.compile(
    r"^.{0,40}?\b(?:(?P<good>(?:and |i |we |really |but )*(?:loved|liked|enjoyed|adored) (?:it|that|them|both|those)|(?:it|they) (?:was|were|is|are) (?:\w+ly |so |very |pretty |quite |a )*(?:great|good|amazing|awesome|excellent|brilliant|fantastic|perfect|wonderful|hilarious|fun|lovely|superb))|(?P<bad>(?:it|they) (?:was|were|is|are) (?:\w+ly |so |very |pretty |quite |a bit |kind of |too )*(?:terrible|awful|bad|boring|dull|horrible|overrated|meh|disappointing|stupid|rubbish|not (?:good|great|for me|my))|(?:hated|disliked|didn'?t (?:really )?(?:like|enjoy)|wasn'?t (?:a fan|into)|couldn'?t stand|did not like) ?(?:it|that|them|both|of it|those)?))\b"
)


#: "the second, I have seen it"; "the King one, no thanks".
_KNOWN: Final = r"^[\s,;.-]*(?:because |since |but |and )?(?:i|we)(?:'ve| have)?(?: already| both| all)* (?:@DONE|know|own|got)\b(?! (?:you|that|of))"
_REFUSED: Final = re.compile(
    r"^[\s,;:-]*(?:is |are )?(?:no thanks?|no thank you|nah|nope|not (?:that|this) (?:one)?|can go|is out|isn'?t for (?:me|us)|not for (?:me|us))\b"
)


def read_mentions(
    r: Reading,
    p: Pieces,
    it: Ref | None,
    every: Ref | None,
    asked: Asked | None,
    asked_in: tuple[int, int] | None,
    compared: set[int],
) -> list[Mention]:
    """``compared``: where items stand that something is only measured by: "newer than X"."""
    out: list[Mention] = []
    items = [x for x in p.links if x.kind == "item"]
    pointed: list[tuple[int, int, str, tuple[str, ...]]] = [
        (x.start, x.end, x.said, (x.value,)) for x in items
    ] + [(x.start, x.end, x.said, x.item_ids) for x in p.refs]
    listing = _only_names(r, items)
    for start, end, words, ids in sorted(pointed):
        operator = p.scopes.operator(start)
        attitude = _ATTITUDE[operator]
        relative = operator == "similar"
        if start in compared:
            attitude, relative = "neutral", False
        push = re.search(r"\b(more|less)(?: of)?\s+$", r.low[:start])
        if push:  # "more Titanic, less Inception"
            relative = push.group(1) == "more"
            attitude = "like" if relative else "reject"
        after = r.low[end : end + 90]
        if attitude in ("neutral", "seen") and not within(start, asked_in):
            verdict = _PRAISE.match(after) or _IT_AFTER.match(_until_name(after, end, pointed))
            if verdict:
                attitude = "like" if verdict.group("good") else "dislike"
        own = _until_name(after, end, pointed)
        if (
            attitude in ("neutral", "reject")
            and not asked
            and r.lexicon.speech.pattern(_KNOWN).match(own)
        ):
            attitude = "seen"
        if attitude == "neutral" and not asked and _REFUSED.match(own):
            attitude = "reject"
        if attitude == "neutral" and listing and operator in ("none", "want"):
            attitude = "like"
        out += [
            Mention(item_id=i, said=words, attitude=attitude, turn=r.turn, relative=relative)
            for i in ids
        ]
    out = _share_verdict(r, out, sorted(pointed))
    verdict = _OF_BOTH.search(r.low)
    if verdict and len(out) > 1:
        attitude = "like" if verdict.group("good") else "dislike"
        out = [m.model_copy(update={"attitude": attitude}) for m in out]
    if pointed and not asked and r.lexicon.speech.pattern(_LIKE_THAT).search(p.masked):
        out = [  # "the first two look good, more like those"
            m.model_copy(update={"relative": True}) if m.attitude == "like" else m for m in out
        ]
    if not pointed and not asked:
        out += _pronouns(r, p, it, every)
    return out


def _share_verdict(
    r: Reading, mentions: list[Mention], pointed: list[tuple[int, int, str, tuple[str, ...]]]
) -> list[Mention]:
    """ "X, Y and Z are great": a verdict after a list is about all of it."""
    out = {m.item_id: m for m in mentions}
    for (_, end, _, ids), (start, _, _, later) in reversed(list(pairwise(pointed))):
        joined = re.fullmatch(r"\s*(?:,|and|,\s*and|&|or)\s*(?:the\s+)?", r.low[end:start])
        if not joined or not later or not ids or later[0] not in out:
            continue
        verdict = out[later[0]]
        for i in ids:
            if (
                i in out
                and out[i].attitude == "neutral"
                and verdict.attitude in ("like", "dislike")
            ):
                out[i] = out[i].model_copy(update={"attitude": verdict.attitude})
    return list(out.values())


def _until_name(after: str, end: int, pointed: list[tuple[int, int, str, tuple[str, ...]]]) -> str:
    """Text after a name up to the next name: a verdict beyond that is about the other one."""
    following = [s for s, *_ in pointed if s >= end]
    return after[: min(following) - end] if following else after


def _only_names(r: Reading, items: list[Link]) -> bool:
    """The turn is names and little else: an answer to "what do you like?"."""
    used = sum(x.end - x.start for x in items)
    return bool(items) and used >= 0.7 * len(r.text)


_OF_BOTH: Final = re.compile(
    r"\b(?:(?P<good>loved|liked|enjoyed|adored|like|love)|(?P<bad>hated|disliked|didn'?t (?:really )?like)) (?:both|them|all|those|them all|all of them)\b"
)
_SAID_OF_IT: Final[list[tuple[Attitude, bool, str]]] = [
    ("reject", True, r"\bnone of (?:these|those|them)\b|\bdon'?t (?:like|want|fancy) any\b|\bnot (?:these|those|any of)\b|\bdidn'?t like any\b"),
    ("seen", True, r"\b(?:@DONE|know) (?:all (?:of )?(?:them|these|those)|them(?: all)?|these|those|both|every)\b|\b@DONE all\b"),
    ("seen", False, r"\b(?:(?:already |ve |have )@DONE|@PAST) (?:it|that|this)(?: one)?\b|\balready @DONE\b"),
    ("dislike", False, r"\b(?:hated|disliked|didn'?t (?:really )?like|don'?t (?:really )?like|can'?t stand) (?:it|that|this)\b"),
    ("reject", False, r"\bnot (?:that|this)(?: one)?\b(?! (?:\w+ly |too |so |very )?[a-z]+)|\bpass on (?:it|that|this)|\bnot interested in (?:it|that|this)\b"),
    ("like", False, r"\b(?:love|loved|like|liked|enjoyed) (?:it|that|this)(?: one| @NOUN)?\W*(?:$|[.,!])"),
    ("like", True, r"\b(?:love|loved|like|liked|enjoyed) (?:these|those|them|both|all)\b"),
]  # fmt: skip


_LIKE_THAT: Final = r"\b(?:more like|like|similar to) (?:it|that|this)(?: one| @NOUN)?(?!\s+\w)\b|\bmore (?:like|of) (?:these|those|them|that)\b|\bless like (?:it|that)\b"


def _pronouns(r: Reading, p: Pieces, it: Ref | None, every: Ref | None) -> list[Mention]:
    """What is thought of "it", "that one", "these", "none of them"."""
    if r.lexicon.speech.pattern(_LIKE_THAT).search(p.masked) and (it or every):
        source = it or every
        ids = source.item_ids if source else ()
        if every:
            ids = every.item_ids
        return [
            Mention(item_id=i, said=source.said if source else "", attitude="like", turn=r.turn, relative=True)
            for i in ids
        ]  # fmt: skip
    for attitude, many, pattern in _SAID_OF_IT:
        m = r.lexicon.speech.pattern(pattern).search(p.masked)
        if m is None:
            continue
        if re.search(
            r"(?:n't|not|never|no)\s+(?:yet |even |actually )?$", p.masked[: m.start()]
        ) and attitude in ("seen", "like"):
            continue
        focus = focus_item(r.state)
        ids = r.state.slate.item_ids if many else ((focus,) if focus else ())
        if many and "both" in m.group():
            ids = ids[:2]
        return [Mention(item_id=i, said=m.group(), attitude=attitude, turn=r.turn) for i in ids]
    return []
