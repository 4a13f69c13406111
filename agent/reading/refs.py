# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""What is being pointed at: "the second one", "the last two", "it", "these", "number 3".

References go to the slate on screen; "it" goes to what was spoken of last.
"""

import re
from typing import Final, NamedTuple

from agent.reading.speech import Speech
from agent.state import DialogueState

_ORDINALS: Final = {
    "first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4,
    "fifth": 5, "5th": 5, "sixth": 6, "6th": 6, "seventh": 7, "7th": 7, "eighth": 8, "8th": 8,
    "ninth": 9, "9th": 9, "tenth": 10, "10th": 10,
}  # fmt: skip
_COUNTS: Final = {
    "one": 1, "two": 2, "couple": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "few": 3,
}  # fmt: skip
_ORD: Final = "|".join(_ORDINALS)
_NUM: Final = r"\d{1,2}|" + "|".join(_COUNTS)
_POINT: Final = (
    r"\b(?:the\s+)?(?P<back>last but one|second[- ]to[- ]last|second last|next[- ]to[- ]last|penultimate|last but two|third[- ]to[- ]last)\b(?:\s+(?:one|@NOUN))?|"
    rf"\b(?:the\s+)?(?P<end>first|last|top|bottom|final)\s+(?P<many>{_NUM})\b(?!\s*(?:years?|decades?|minutes|hours|months|weeks))"
    rf"|\b(?:the|that|your)\s+(?P<ord>{_ORD}|last|final|bottom|top|middle)\b"
    r"(?!\s+(?:time|few|couple|years?|decades?|minutes|half|part|world|place|thing I|of all))"
    rf"(?:\s+(?:one|@NOUN|option|choice|suggestion|pick))?"
    rf"|(?:^|\b(?:and|or|,|not|like|than|is)\s+)(?P<bareord>{_ORD})(?:\s+(?:one|@NOUN|option|choice))"
    rf"|^\s*(?P<only>{_ORD}|last)(?:\s+one)?\s*(?:please|pls)?[.!?]?\s*$"
    rf"|\b(?:number|no\.|nr\.?|option|item|pick|choice|#)\s*(?P<num>{_NUM})\b"
    r"|(?:^|\s)#(?P<hash>\d{1,2})\b"
    r"|^\s*(?P<digit>\d{1,2})\s*[.!?]?\s*$"
    r"|\b(?:compare|between|difference between)\s+(?:numbers?\s+)?(?P<d1>\d)\s+(?:and|with|to|vs\.?|or)\s+(?:number\s+)?(?P<d2>\d)\b"
    r"|\b(?:@DONE|liked?|loved?|hated?|not|want|try|take|choose|pick|prefer|about|@VERB) (?:numbers? |#)?(?P<list>\d(?:(?:,| and|, and| or| &) (?:number |#)?\d)*)(?![\d\w:])(?!\s+(?:more|others?|@NOUN|hours?|min|years?|or))"
    r"|\b(?P<d3>\d)\s+(?:vs\.?|versus)\s+(?P<d4>\d)\b"
)
_ALL: Final = re.compile(
    r"\b(?:all (?:of )?(?:these|those|them)|these(?: ones)?|those(?: ones)?|them(?: all)?|both(?: of (?:them|these|those))?|"
    r"any of (?:these|those|them)|none of (?:these|those|them)|either of (?:them|these|those)|the whole list|your (?:list|suggestions))\b"
)
_IT: Final = r"\b(?:it|that one|this one|(?:that|this) @NOUN|that|this)\b"


class Ref(NamedTuple):
    start: int
    end: int
    said: str
    item_ids: tuple[str, ...]
    kind: str  # "ordinal", "all", "it", "described"


def read_refs(low: str, state: DialogueState, speech: Speech) -> list[Ref]:
    """Ordinals, numbers and ranges that point at the slate. Out of range points at nothing."""
    shown = list(state.slate.item_ids)
    if not shown:
        return []
    out: list[Ref] = []
    for m in speech.pattern(_POINT).finditer(low):
        ids: list[str] = []
        if m.group("back"):
            back = 3 if re.search(r"two|third", m.group("back")) else 2
            ids = shown[-back : 1 - back] if len(shown) >= back else []
        elif m.group("many"):
            word = m.group("many")
            n = _COUNTS.get(word) or int(word)
            ids = shown[:n] if m.group("end") in ("first", "top") else shown[-n:]
        elif m.group("list"):
            digits = [int(d) for d in re.findall(r"\d", m.group("list"))]
            ids = [shown[d - 1] for d in digits if 0 < d <= len(shown)]
        elif m.group("d1") or m.group("d3"):
            pair = [m.group("d1") or m.group("d3"), m.group("d2") or m.group("d4")]
            ids = [shown[int(d) - 1] for d in pair if 0 < int(d) <= len(shown)]
        else:
            word = next(
                g
                for g in (m.group(k) for k in ("ord", "bareord", "only", "num", "hash", "digit"))
                if g
            )
            place = _place(word, len(shown))
            ids = [shown[place]] if place is not None else []
        if ids:
            out.append(Ref(m.start(), m.end(), m.group().strip(), tuple(ids), "ordinal"))
    return out


def _place(word: str, n: int) -> int | None:
    if word in ("last", "final", "bottom"):
        return n - 1
    if word == "top":
        return 0
    if word == "middle":
        return n // 2
    number = _ORDINALS.get(word) or _COUNTS.get(word) or (int(word) if word.isdigit() else 0)
    return number - 1 if 0 < number <= n else None


def read_all(low: str, state: DialogueState) -> Ref | None:
    """ "these", "all of them", "both": the whole slate."""
    m = _ALL.search(low)
    if not m or not state.slate.item_ids:
        return None
    ids = state.slate.item_ids
    if m.group().startswith("both"):
        ids = ids[:2]
    return Ref(m.start(), m.end(), m.group(), ids, "all")


def read_it(low: str, state: DialogueState, speech: Speech) -> Ref | None:
    """ "it", "that one": what the conversation is about just now."""
    m = speech.pattern(_IT).search(low)
    if not m:
        return None
    focus = focus_item(state)
    return Ref(m.start(), m.end(), m.group(), (focus,), "it") if focus else None


def focus_item(state: DialogueState) -> str | None:
    """The one item spoken of last: in a question, a choice or a mention; else the slate's first."""
    shown = state.slate.item_ids
    if len(shown) == 1:
        return shown[0]
    for turn in reversed(state.turns[:-1][-8:]):
        if turn.role == "agent" and turn.slate is not None and turn.slate.item_ids:
            break  # a fresh slate: nothing has been singled out since
        update = turn.update
        if turn.role == "user" and update is not None:
            if update.question and len(update.question.item_ids) == 1:
                return update.question.item_ids[0]
            if len(update.mentions) == 1:
                return update.mentions[0].item_id
    if shown:
        return shown[0]
    mentions = state.beliefs.mentions
    return mentions[-1].item_id if mentions else None
