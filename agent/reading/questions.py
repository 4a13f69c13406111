# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Questions about items: facts, premises, reasons, comparisons, superlatives.

What is asked for is found by the role of a facet ("who directed", "how long") or by its
own label ("what's the price"), so a catalogue's columns decide what can be asked.
"""

import re
from typing import Final, Literal, NamedTuple

from agent.reading.lexicon import Lexicon, ScaleWord, Value

Kind = Literal["fact", "about", "why", "compare", "superlative"]

#: Role -> how people ask for it.
_BY_ROLE: Final[list[tuple[str, str]]] = [
    ("audience", r"how old (?:do|does|should|must)|age (?:rating|limit|restriction)|what(?:'s| is) (?:the |its )?(?:rated|rating|age)|(?:suitable|appropriate|ok|okay|safe|good|fine|too scary) for (?:my |the |young |small |little |\w+ )?(?:kids?|child(?:ren)?|families|famil|\d+|\w+[- ]year)|kid[- ]friendly|family[- ]friendly"),
    ("date", r"when (?:was|were|did|is|does)|what year|which year|how old (?:is|are)|release (?:date|year)|year (?:of|was|is|did)|date of|come out|came out|how (?:new|recent)|what decade"),
    ("amount", r"how long|run(?:ning)?[- ]?time|what(?:'s| is) (?:the |its )?(?:length|duration)|how many (?:minutes|hours)|length of|duration of"),
    ("maker", r"who(?:'s| is| was)? ?(?:the )?(?:made|directed|wrote|makes|directs|director|maker|author|created|designed|filmmaker|helmed|behind|did|(?:man|woman|person|one|people) behind|called the shots)|(?:director|filmmaker|author|maker|brand) of|directed by (?:whom|who)|what(?:'s| is) the director|which director"),
    ("people", r"who(?:'s| is| was| are| were)? (?:in|else is in|stars?|starring|plays?|acts?|acted|acting|played|the (?:main |lead )?(?:actors?|actress(?:es)?|stars?|cast|leads?))|(?:the |main |full )?cast\b|which actors?|what actors?|(?:main|supporting|lead|leading) (?:actors?|actress|cast)|who'?s in|who(?:'s| is| are) the (?:guys?|man|men|woman|women|girls?|boys?|kids?|actors?|actress|stars?|voices?)"),
    ("premise", r"what(?:'s| is|s| are|'re) (?:it|that|this|they|the \w+(?: one)?|.{1,60}?)(?: (?:one|film|movie))? (?:all )?about\b|(?:the |its |a )?(?:plot|premise|synopsis|storyline|summary)|tell me (?:more|a bit|something|a little)?(?: more)?\s?about|what happens in|(?:main|central) (?:theme|conflict|idea|story)|storyline|(?:more )?(?:info|information|details) (?:on|about)|describe|more about|what(?:'s| is) the story|the story (?:of|about)\?"),
    ("origin", r"(?:what|which) country|where (?:is|was|were|does|did|'s) .{0,40}(?:from|made|produced|shot|filmed)|country of origin"),
    ("language", r"(?:what|which) language|subtitle[sd]?|dubbed|spoken in|is (?:it|that|this|.{1,30}) in (?:english)"),
    ("category", r"(?:the )?(?:type|kind|genre|sort) of \w+ (?:this|it|that) is|(?:what|which) (?:genre|category|kind of|type of|sort of)|what(?:'s| is) (?:the|its) (?:\w+'?s? )?genre|(?:what|which) type"),
    ("mood", r"what(?:'s| is) the (?:mood|vibe|tone)"),
    ("tag", r"what(?:'s| is| are) the (?:themes?|topics?)"),
]  # fmt: skip
_BY_ROLE_RE: Final = [(role, re.compile(r"\b(?:" + p + ")")) for role, p in _BY_ROLE]
_WHY: Final = re.compile(
    r"\b(?:why|how come|what made you|what makes (?:you|that|it|this)|on what basis|what'?s the reason|for what reason)\b"
)
_WHY_NOT_ASKED: Final = re.compile(r"\b(?:that'?s why|reasons? why|is why|why not)\b")
_COMPARE: Final = re.compile(
    r"\bcompar\w+|\bdifferen(?:ce|t)s? (?:between|are|from)|\bhow (?:do|does|is|are) .{1,60} (?:differ|different|compare)|"
    r"\b(?:vs\.?|versus)\b|\bwhich (?:one |of (?:these|them|those|the two) |film |movie )?(?:is|would be|do you|should|are|'s) (?:the )?(?:better|best)\b|"
    r"\bwhich (?:one )?(?:should|shall|do you|would you|is (?:your|the) )"
)
_WHICH: Final = re.compile(
    r"\b(?:which|what|who)(?:'s| is| are| of| one| film| movie)?\b|\bof (?:these|them|those|the (?:two|three|four|five))\b|\bis the\b"
)
_SUPER: Final = {
    "newest": ("date", 1), "latest": ("date", 1), "most recent": ("date", 1), "youngest": ("date", 1),
    "oldest": ("date", -1), "earliest": ("date", -1), "longest": ("amount", 1),
    "shortest": ("amount", -1), "cheapest": ("amount", -1), "most expensive": ("amount", 1),
    "priciest": ("amount", 1), "dearest": ("amount", 1),
}  # fmt: skip
_YES_NO: Final = re.compile(
    r"(?:^|[.!?,;]\s*|\b(?:and|but|so|hmm|ok|okay|oh|well|wait) )(?i:is|are|was|were|does|do|did|has|have|isn'?t|would you (?:say|call|classify|describe|consider))\s+"
    r"(?:it|that|this|they|these|those|he|she|there|the\b|any of|number|#|[A-Z0-9])"
)
_HOW: Final = re.compile(r"\bhow (?!about|come|are you|do you do|long ago)(?:\w+ )")
_REQUEST: Final = re.compile(
    r"\b(?:do (?:you|u) (?:have|know|like)|have (?:you|u|ya) |are there|is there (?:a|any|some|something)|can you|could you|would you(?! (?:say|call|classify|describe|consider))|will you|any (?:good|other) \w+|got any|what (?:do you (?:have|recommend|suggest|think i|know)|would|should|can|could|else)|"
    r"what (?:are|is) (?:some|a good|your)|how about|what about|recommend|suggest)\b"
)


class Asked(NamedTuple):
    kind: Kind
    field: str | None
    direction: Literal[-1, 1] | None
    said: str


def read_question(
    text: str, low: str, lexicon: Lexicon, found: list[tuple[int, int, object]]
) -> Asked | None:
    """The question of a turn, or None. ``found``: values and scale words with their places."""
    asks = "?" in low or bool(re.match(r"\W*(?:(?:and|but|ok|okay|so|hmm|wait|well|oh|also|hey),? )*(?:who|what|when|where|which|why|how|is|are|was|were|does|did|has|tell me|compare|describe|do)\b", low))  # fmt: skip
    why = _WHY.search(low)
    if why and not _WHY_NOT_ASKED.search(low) and len(low) < 120:
        return Asked("why", None, None, why.group())
    best = _superlative(low, lexicon)
    if best and (asks or re.search(r"\bof (?:these|them|those|the)\b", low)):
        return best
    than = re.search(r"^\W*(?:is|are|was|were) .{2,80}? (\w+er|(?:more|less) \w+) than\b", low)
    if than:
        found_side = _side(than.group(1), lexicon)
        if found_side:
            return Asked("superlative", found_side[0], found_side[1], than.group(1))
    m = _COMPARE.search(low)
    if m and (asks or m.group().startswith(("compar", "differen")) or "vs" in m.group()):
        return Asked("compare", None, None, m.group())
    if not asks and not re.search(
        r"\b(?:tell me|want to know|wondering|curious|more (?:info|details)|describe)\b", low
    ):
        return None
    return _fact(text, low, lexicon, found)


def _fact(
    text: str, low: str, lexicon: Lexicon, found: list[tuple[int, int, object]]
) -> Asked | None:
    requests = _REQUEST.search(low)
    for role, pattern in _BY_ROLE_RE:
        m = pattern.search(low)
        if not m:
            continue
        if role in ("category",) and re.search(
            r"\b(?:what|which) (?:kind|type|sort) of (?:\w+ )?(?:\w+ )?(?:do|would|should|can|are you)",
            low,
        ):
            continue
        if (
            role == "date"
            and m.group().startswith("when")
            and not re.search(
                r"\b(?:come|came|made|released|out|from|shot|filmed|published|produced|premiere)\b",
                low,
            )
        ):
            continue
        if role in ("audience", "language") and requests:
            continue
        facets = lexicon.by_role(role)
        if role == "premise":
            return Asked("about", facets[0].name if facets else None, None, m.group())
        if role == "amount" and m.group().startswith(("how long", "run")):
            facets = [f for f in facets if (f.unit or "").startswith("minute")] or facets
        if facets:
            return Asked("fact", facets[0].name, None, m.group())
    if requests:
        return None
    for facet in lexicon.facets.values():
        words = "|".join(
            re.escape(w) for w in {facet.label.lower(), facet.plural.lower(), facet.name.lower()}
        )
        m = re.search(
            rf"\b(?:what(?:'s| is| are)|which|what|how many|how much|tell me) (?:the |its |are the |is the )?(?:{words})\b",
            low,
        )
        if m:
            return Asked("fact", facet.name, None, m.group())
        if (
            facet.kind == "number"
            and _is_price(facet.unit, facet.name)
            and re.search(r"\bhow (?:much|expensive)\b|\bcosts?\b", low)
        ):
            return Asked("fact", facet.name, None, "how much")
    how = _HOW.search(low)
    yes_no = _YES_NO.search(text) or _YES_NO.search(low)
    if how or yes_no:
        start = (how or yes_no).start()  # type: ignore[union-attr]
        for place, _end, entry in found:
            if place >= start and isinstance(entry, ScaleWord):
                return Asked("fact", entry.scale, None, low[start:_end])
        for place, _end, entry in found:
            if place >= start and isinstance(entry, Value):
                return Asked("fact", entry.facet, None, low[start:_end])
            if place >= start and isinstance(entry, str):
                return Asked("fact", entry, None, low[start:_end])
        size = _SIZED.search(low[start:])
        if size:
            facets = lexicon.by_role("amount" if size.group(1) else "date", "number")
            if facets:
                return Asked("fact", facets[0].name, None, size.group())
    if re.search(r"\?|^\W*(?:is|are|was|were|does|did|has|how|what|where|who|when|which)\b", low):
        return Asked("fact", None, None, low)  # of something no column holds, if an item is meant
    return None


_SIZED: Final = re.compile(
    r"\b(?:(short|long|lengthy|quick|full-length)|(?:new|recent|old|modern|classic))\b"
)


def _is_price(unit: str | None, name: str) -> bool:
    return (unit or "").lower() in {
        "$",
        "€",
        "£",
        "dollars",
        "euros",
        "pounds",
        "usd",
        "eur",
    } or "price" in name.lower()


def _superlative(low: str, lexicon: Lexicon) -> Asked | None:
    """ "which is the shortest", "the funniest of these": a facet or scale with a direction."""
    bare = re.match(
        r"\W*(?:(?:and|ok|so|now),? )*the (?:\w+est|most \w+|least \w+)(?: one)?\W*$", low
    )
    if not _WHICH.search(low) and not bare:
        return None
    for words, (role, sign) in _SUPER.items():
        m = re.search(rf"\b{words}\b", low)
        if m:
            facets = lexicon.by_role(role, "number")
            if role == "amount":
                facets = facets or [
                    f for f in lexicon.facets.values() if f.kind == "number" and f.role != "date"
                ]
                priced = [
                    f
                    for f in lexicon.facets.values()
                    if f.kind == "number" and _is_price(f.unit, f.name)
                ]
                if words in ("cheapest", "most expensive", "priciest", "dearest") and priced:
                    facets = priced
            if facets:
                return Asked("superlative", facets[0].name, 1 if sign > 0 else -1, m.group())
    for m in re.finditer(
        r"\b(?:the )?(most|least) ([\w-]+(?: [\w-]+)?)|\b(?:the )?([a-z]{3,}est)\b", low
    ):
        entry = _scale_of(m, lexicon)
        if entry is not None:
            sign = entry.direction * (-1 if m.group(1) == "least" else 1)
            return Asked("superlative", entry.scale, 1 if sign > 0 else -1, m.group())
    return None


_COMPARATIVE: Final = {
    "newer": "newest", "older": "oldest", "longer": "longest", "shorter": "shortest",
    "cheaper": "cheapest", "pricier": "priciest", "dearer": "dearest",
}  # fmt: skip


def _side(words: str, lexicon: Lexicon) -> tuple[str, Literal[-1, 1]] | None:
    """The facet or scale a comparative is about: "longer" -> (runtime, 1)."""
    if words in lexicon.scale_words:
        entry = lexicon.scale_words[words]
        return entry.scale, entry.direction
    if words in _COMPARATIVE:
        best = _superlative(f"which is the {_COMPARATIVE[words]}", lexicon)
        if best and best.field and best.direction:
            return best.field, best.direction
    return None


def _scale_of(m: re.Match[str], lexicon: Lexicon) -> ScaleWord | None:
    if m.group(2):
        words = m.group(2)
        return lexicon.scale_words.get(words) or lexicon.scale_words.get(words.split(" ")[0])
    stem = m.group(3)[:-3]
    for word in (stem, stem + "er", stem + "e", stem[:-1], stem[:-1] + "y"):
        if word in lexicon.scale_words:
            return lexicon.scale_words[word]
    return None
