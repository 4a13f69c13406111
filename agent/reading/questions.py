# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Questions about items: facts, premises, reasons, comparisons, superlatives.

What is asked for is found by the role of a facet ("who directed", "how long") or by its
own label ("what's the price"), so a catalogue's columns decide what can be asked.
"""

import re
from typing import Final, Literal, NamedTuple

from agent.reading.lexicon import Lexicon, ScaleWord, Value
from agent.reading.sets import of_everything

Kind = Literal["fact", "about", "why", "compare", "superlative", "which", "count"]

#: Role -> how people ask for it.
_BY_ROLE: Final[list[tuple[str, str]]] = [
    ("audience", r"how old (?:do|does|should|must)|age (?:rating|limit|restriction)|what(?:'s| is) (?:the |its )?(?:rated|rating|age)|(?:suitable|appropriate|ok|okay|safe|good|fine|too scary) for (?:my |the |young |small |little |\w+ )?(?:kids?|child(?:ren)?|families|famil|\d+|\w+[- ]year)|kid[- ]friendly|family[- ]friendly"),
    ("date", r"when (?:was|were|did|is|does)|what year|which year|how old (?:is|are)|release (?:date|year)|year (?:of|was|is|did)|date of|come out|came out|how (?:new|recent)|what decade"),
    ("amount", r"how long|run(?:ning)?[- ]?time|what(?:'s| is) (?:the |its )?(?:length|duration)|how many (?:minutes|hours)|length of|duration of"),
    ("maker", r"who(?:'s| is| was)? ?(?:the )?(?:made|makes|wrote|maker|created|designed|designs|invented|behind|did|(?:man|woman|person|one|people) behind)|(?:maker|brand|creator) of|(?:what|which) (?:brand|maker)"),
    ("people", r"who (?:is|are|was|were) (?:it|that|this|they) with"),
    ("premise", r"what(?:'s| is|s| are|'re) (?:it|that|this|they|the \w+(?: one)?|.{1,60}?)(?: (?:one|@NOUN))? (?:all )?about\b|(?:the |its |a )?(?:plot|premise|synopsis|storyline|summary)|tell me (?:more|a bit|something|a little)?(?: more)?\s?about|what happens in|(?:main|central) (?:theme|conflict|idea|story)|storyline|(?:more )?(?:info|information|details) (?:on|about)|describe|what(?:'s| is|s) (?:it|that|this|that one|this one|the \w+ one|the @NOUN|the (?:first|second|third|fourth|fifth|last)) like\b|more about|what(?:'s| is) the story|the story (?:of|about)\?"),
    ("origin", r"where (?:is|was|were|does|did|'s) .{0,40}(?:from|made|produced)"),
    ("language", r"(?:what|which) language|spoken in|is (?:it|that|this|.{1,30}) in (?:english)"),
    ("category", r"(?:the )?(?:type|kind|genre|sort) of \w+ (?:this|it|that) is|(?:what|which) (?:genre|category|kind of|type of|sort of)|what(?:'s| is) (?:the|its) (?:\w+'?s? )?genre|(?:what|which) type"),
    ("mood", r"what(?:'s| is) the (?:mood|vibe|tone)"),
    ("tag", r"what(?:'s| is| are) the (?:themes?|topics?)"),
]  # fmt: skip
_BY_ROLE_RE: Final = [(role, r"\b(?:" + p + ")") for role, p in _BY_ROLE]
_WHY: Final = re.compile(
    r"\b(?:why|how come|what made you|what makes (?:you|that|it|this)|on what basis|what'?s the reason|for what reason)\b"
)
_WHY_NOT_ASKED: Final = re.compile(r"\b(?:that'?s why|reasons? why|is why|why not)\b")
_COMPARE: Final = (
    r"\bcompar\w+|\bdifferen(?:ce|t)s? (?:between|are|from)|\bhow (?:do|does|is|are) .{1,60} (?:differ|different|compare)|"
    r"\b(?:vs\.?|versus)\b|\bwhich (?:one |of (?:these|them|those|the two) |@NOUN )?(?:is|would be|do you|should|are|'s) (?:the )?(?:better|best)\b|"
    r"\bwhich (?:one )?(?:should|shall|do you|would you|is (?:your|the) )"
)
_WHICH: Final = r"\b(?:which|what|who)(?:'s| is| are| of| one| @NOUN)?\b|\bof (?:these|them|those|the (?:two|three|four|five))\b|\bis the\b"
_YES_NO: Final = re.compile(
    r"(?:^|[.!?,;]\s*|\b(?:and|but|so|hmm|ok|okay|oh|well|wait) )(?i:is|are|was|were|does|do|did|has|have|isn'?t|would you (?:say|call|classify|describe|consider))\s+"
    r"(?:it|that|this|they|these|those|he|she|there|the\b|any of|number|#|[A-Z0-9])"
)
_HOW: Final = re.compile(r"\bhow (?!about|come|are you|do you do|long ago)(?:\w+ )")
_REQUEST: Final = re.compile(
    r"\b(?:do (?:you|u) (?:have|know|like)|have (?:you|u|ya) |are there|is there (?:a|any|some|something)|can you|could you|would you(?! (?:say|call|classify|describe|consider))|will you|any (?:good|other) \w+|got any|what (?:do you (?:have|recommend|suggest|think i|know)|would|should|can|could|else)|"
    r"(?:anything|something) (?:else )?(?:by|from|with|like)|what (?:are|is) (?:some|a good|your)|how about|what about|recommend|suggest)\b"
)


class Asked(NamedTuple):
    kind: Kind
    field: str | None
    direction: Literal[-1, 1] | None
    said: str
    over: Literal["slate", "catalogue"] = "slate"


_COMPARED: Final = re.compile(
    r"\b(?:which|what|who)(?:'s| is| was| one is| one's| of (?:them|these|those|the two)(?: is)?| weighs| costs| runs| lasts)? (?:the )?((?:more|less|better|worse|higher|lower) [\w-]+|\w+er)\b(?! than)"
)


_ANY_SUCH: Final = re.compile(
    r"\W*(?:(?:and|but|ok|so),? )*(?:is there |are there |do you have |have you (?:got )?|got )?(?:anything|something|any(?! of\b)|some(?! of\b))\b[^?]*\bthan\b"
)


def read_question(
    text: str,
    low: str,
    lexicon: Lexicon,
    found: list[tuple[int, int, object]],
    shown: bool = True,
) -> Asked | None:
    """The question of a turn, or None. ``found``: values and scale words with their places.

    ``shown``: whether a slate is on screen.
    """
    asks = "?" in low or bool(re.match(r"\W*(?:(?:and|but|ok|okay|so|hmm|wait|well|oh|also|hey),? )*(?:who|what|when|where|which|why|how|is|are|was|were|does|did|has|tell me|compare|describe|do)\b", low))  # fmt: skip
    if re.match(r"\W*(?:please )?make (?:it|them)\b", low):
        return None
    if _ANY_SUCH.match(low):
        return None  # "anything longer than the third?" asks for items
    why = _WHY.search(low)
    if why and not _WHY_NOT_ASKED.search(low) and len(low) < 120:
        return Asked("why", None, None, why.group())
    best = _superlative(low, lexicon)
    if best and (asks or re.search(r"\bof (?:these|them|those|the)\b", low)):
        whole = asks and of_everything(low, shown) and (bool(found) or not shown)
        return best._replace(over="catalogue") if whole else best
    which = _COMPARED.search(low)
    side = side_of(which.group(1), lexicon) if which else None
    if which and side:
        return Asked("superlative", side[0], side[1], which.group(1))
    than = re.search(r"^\W*(?:is|are|was|were) .{2,80}? (\w+er|(?:more|less) \w+) than\b", low)
    if than:
        found_side = side_of(than.group(1), lexicon)
        if found_side:
            return Asked("superlative", found_side[0], found_side[1], than.group(1))
    m = lexicon.speech.pattern(_COMPARE).search(low)
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
    own = _own_words(low, lexicon)
    if own and not requests:
        return own
    for role, pattern in _BY_ROLE_RE:
        m = lexicon.speech.pattern(pattern).search(low)
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
                r"\b(?:come|came|made|released|out|from|published|produced|premiere)\b",
                low,
            )
        ):
            continue
        if role in ("audience", "language") and requests:
            continue
        facets = lexicon.by_role(role)
        if role == "premise":
            return Asked("about", facets[0].name if facets else None, None, m.group())
        if role == "amount":
            timed = [
                f for f in facets if lexicon.measures[f.name].kind in ("time", "pages", "length")
            ]
            facets = timed
        if facets:
            return Asked("fact", facets[0].name, None, m.group())
    if requests:
        return None
    for facet in lexicon.facets.values():
        words = "|".join(
            re.escape(w) for w in {facet.label.lower(), facet.plural.lower(), facet.name.lower()}
        )
        m = re.search(
            rf"\b(?:who(?:'s| is| was| are)|what(?:'s| is| are)|which|what|how many|how much|tell me) (?:the |its |are the |is the )?(?:{words})\b",
            low,
        )
        if m:
            return Asked("fact", facet.name, None, m.group())
    how = _HOW.search(low)
    yes_no = _YES_NO.search(text) or _YES_NO.search(low)
    if how or yes_no:
        start = (how or yes_no).start()  # type: ignore[union-attr]
        for place, _end, entry in found:
            if place >= start and isinstance(entry, ScaleWord):
                return Asked("fact", entry.scale, None, low[start:_end])
        past = how.end() if how else start  # "how long" asks for no length called "long"
        for place, _end, entry in found:
            if place >= past and isinstance(entry, Value):
                return Asked("fact", entry.facet, None, low[start:_end])
            if place >= start and isinstance(entry, str):
                return Asked("fact", entry, None, low[start:_end])
        size = _SIZED.search(low[start:])
        if size:
            facets = lexicon.by_role("amount" if size.group(1) else "date", "number")
            if size.group(1):
                lengths = ("time", "pages", "length")
                facets = [f for f in facets if lexicon.measures[f.name].kind in lengths]
            if facets:
                return Asked("fact", facets[0].name, None, size.group())
    if re.search(r"\?|^\W*(?:is|are|was|were|does|did|has|how|what|where|who|when|which)\b", low):
        return Asked("fact", None, None, low)  # of something no column holds, if an item is meant
    return None


_SIZED: Final = re.compile(
    r"\b(?:(short|long|lengthy|quick|full-length)|(?:new|recent|old|modern|classic))\b"
)


def _own_words(low: str, lexicon: Lexicon) -> Asked | None:
    """Questions in a facet's own words: "who directed it?", "how heavy is it?"."""
    for name, facet in lexicon.facets.items():
        measure = lexicon.measures.get(name)
        asked = measure.asked if measure else "|".join(facet.asked)
        m = re.search(rf"\b(?:{asked})", low) if asked else None
        if m:
            return Asked("fact", name, None, m.group())
    return None


SUPERLATIVE: Final = re.compile(
    r"\b(?:the )?(most|least) ([\w-]+(?: [\w-]+)?)|\b(?:the )?([a-z]{3,}est)\b"
)


def _superlative(low: str, lexicon: Lexicon) -> Asked | None:
    """ "which is the shortest", "the funniest of these": a facet or scale with a direction."""
    bare = re.match(
        r"\W*(?:(?:and|ok|so|now),? )*the (?:\w+est|most \w+|least \w+)(?: [\w-]+)?(?: one)?\W*$",
        low,
    )
    if not lexicon.speech.pattern(_WHICH).search(low) and not bare:
        return None
    for words, name, sign in superlatives(lexicon):
        m = re.search(rf"\b{words}\b", low)
        if m:
            return Asked("superlative", name, sign, m.group())
    for m in SUPERLATIVE.finditer(low):
        entry = scale_of(m, lexicon)
        if entry is not None:
            turned = entry.direction * (-1 if m.group(1) == "least" else 1)
            return Asked("superlative", entry.scale, 1 if turned > 0 else -1, m.group())
    return None


def superlatives(lexicon: Lexicon) -> list[tuple[str, str, Literal[-1, 1]]]:
    """Patterns like "cheapest", "best rated" -> (facet, direction), from the comparatives."""
    out: list[tuple[str, str, Literal[-1, 1]]] = []
    for name, measure in lexicon.measures.items():
        if name not in lexicon.ranges:
            continue
        for patterns, sign in ((measure.more, 1), (measure.less, -1)):
            for words in patterns:
                if words.replace("\\", "") in lexicon.scale_words:
                    continue
                out += [(form, name, 1 if sign > 0 else -1) for form in _topmost(words)]
        label = re.escape(lexicon.facets[name].label.lower())
        out.append((rf"(?:highest|most|best|biggest|largest|greatest) {label}", name, 1))
        out.append((rf"(?:lowest|least|worst|smallest) {label}", name, -1))
    return out


def _topmost(words: str) -> list[str]:
    """ "cheaper" -> "cheapest"; "more expensive" -> "most expensive"; "better rated" -> "best"."""
    first, _, rest = words.partition(" ")
    first = first.rstrip("\\")
    top = {"more": "most", "less": "least", "better": "best", "worse": "worst"}.get(first)
    if top is None and first.endswith("er") and len(first) > 4:
        top = first[:-2] + "est"
    if top is None:
        return []
    plain = f"{top} {rest}" if rest else top
    return [plain, "latest"] if words == "newer" else [plain]


def side_of(words: str, lexicon: Lexicon) -> tuple[str, Literal[-1, 1]] | None:
    """The facet or scale a comparative is about: "longer" -> (runtime, 1)."""
    if words in lexicon.scale_words:
        entry = lexicon.scale_words[words]
        return entry.scale, entry.direction
    best = {form: (name, sign) for form, name, sign in reversed(superlatives(lexicon))}
    found = [best[form] for form in _topmost(words) if form in best]
    return found[0] if found else None


def scale_of(m: re.Match[str], lexicon: Lexicon) -> ScaleWord | None:
    if m.group(2):
        words = m.group(2)
        return lexicon.scale_words.get(words) or lexicon.scale_words.get(words.split(" ")[0])
    stem = m.group(3)[:-3]
    for word in (stem, stem + "er", stem + "e", stem[:-1], stem[:-1] + "y"):
        if word in lexicon.scale_words:
            return lexicon.scale_words[word]
    return None
