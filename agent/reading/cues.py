# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Operators and their scope: is this word wanted, excluded, loved, seen, or taken back?

A cue ("no", "I loved", "something", "forget the") holds from where it stands to the
next cue or breaker. Negation ends at a comma unless the list goes on with "or"/"nor"
("no horror, westerns or musicals" / "no horror, something funny").
"""

import re
from bisect import bisect_left
from typing import Final, Literal, NamedTuple

from agent.reading.speech import Speech

Operator = Literal[
    "want", "not", "like", "dislike", "seen", "unseen", "similar", "retract", "indifferent", "none"
]

_ADV: Final = r"(?:(?:really|absolutely|truly|also|just|always|usually|mostly|quite|particularly|especially|kind of|sort of|kinda|totally|generally|normally|often|still|do|never really|only|recently|already|first|once|actually|personally|all|both|pretty much|definitely|have|had|did|tend to|used to|can|could|would)\s+)*"  # fmt: skip
_WE: Final = (
    r"(?:i|we|you|they|he|she|my \w+|our \w+|everyone|kids|and|but|who|that|really|also|which)"
)

#: Longest first where two may start at one place; each is matched on lower-case text.
_CUES: Final[list[tuple[Operator, str]]] = [
    (
        "retract",
        r"(?:no longer (?:need|want)s?|(?:it |they |that )?(?:doesn'?t|does not|don'?t|do not|needn'?t|need not)(?: (?:really|necessarily))? (?:have|need)(?: it)? to be|doesn'?t need to be|needn'?t be|(?:it |they |that )need not be|don'?t need (?:it )?to be|(?:don'?t|do not) (?:really )?need(?! (?:an?|any|anything|something|to|help|more|it|that|this|you)\b)|no need (?:for it )?(?:to be|for)|(?:you can )?(?:forget|drop|ignore|scrap|lift|lose|undo|cancel|discard|relax)(?: about)?|(?:you can |please |can you |could you )?(?:remove|clear|delete|replace|swap(?: out)?|take (?:out|off|away)|get rid of)|never ?mind(?: about)?|without the restriction(?: to| of| on)?)\b",
    ),
    (
        "want",
        r"(?:have|had|did|do|can) (?:you|u|ya) (?:ever |already )?(?:@DONE|@VERB|know|have|got|heard of|like)\b",
    ),
    (
        "indifferent",
        r"(?:(?:i )?(?:don'?t|do not) (?:really )?(?:care|mind)(?: (?:about|which|what|who|when|where|how))?|(?:i'?m )?not (?:fussed|bothered|picky|fussy)(?: about)?|no preference(?: (?:for|on|about|as to))?|(?:it )?(?:doesn'?t|does not) matter(?: (?:about|which|what|who|when|where|how))?)\b",
    ),
    (
        "not",
        r"(?:i|we)(?:'d| would) (?:much |really )?(?:rather|prefer) (?:to )?(?:not|avoid)(?: (?:@VERB|have))?\b",
    ),
    (
        "dislike",
        r"(?:i|we) (?:\w+ly |often |always |mostly |almost |tend to |usually |never |rarely |hardly )*(?:ignore|skip|avoid|pass on|(?:(?<=never )|(?<=rarely )|(?<=hardly )|(?<=seldom ))(?:ever )?(?:@VERB|enjoy|bother with|pay attention to|pick|choose|get into|go for))\b",
    ),
    (
        "dislike",
        r"(?:have|has|got|with|find|see) (?:absolutely )?(?:no|little|zero) (?!idea)\w+ (?:for|in|towards?)\b",
    ),
    (
        "want",
        r"(?:i|we)(?:'d| would) (?:really )?(?:like|love|prefer|rather|enjoy)(?: to)?(?: (?:@VERB|have|get|find|try|hear))?\b",
    ),
    ("not", r"(?:would|'d) (?:rather|prefer) (?:to )?(?:not|avoid)(?: (?:@VERB|have))?\b"),
    (
        "unseen",
        r"(?:haven'?t|have not|hasn'?t|didn'?t|did not|have never|'ve never|never|not yet|not) (?:yet |even |actually |really )?(?:@DONE|@VERB|heard of|heard|been able to @VERB)\b",
    ),
    (
        "want",
        r"(?:want|wanted|wanna|like|love|going|plan|hope|need|hoping|planning|dying|meaning|time) to (?:@VERB|try|get|find)\b",
    ),
    (
        "want",
        r"(?:should|shall|could|can|might|will|'ll|may) (?:i|we) (?:@VERB|try|get)\b",
    ),
    (
        "dislike",
        rf"{_ADV}(?:(?:don'?t|dont|do not|didn'?t|didnt|did not|doesn'?t|does not|never|can'?t|cannot|couldn'?t|wasn'?t|not|isn'?t|aren'?t|am not|'m not)\s+(?:\w+ly\s+|quite\s+|even\s+|much\s+|really\s+|all that\s+|too\s+|that\s+|much of\s+)*(?:like|liked|love|loved|enjoy|enjoyed|fancy|care for|stand|bear|dig|appreciate|get into|into|interested in|keen on|a (?:big |huge |great |real )?fan of|the biggest fan of|big on|crazy about|fond of|find appeal in))\b",
    ),
    (
        "dislike",
        rf"{_ADV}(?:hate[ds]?|dislike[ds]?|loathe[ds]?|detest(?:ed|s)?|despise[ds]?|couldn'?t finish|(?:was|were|am|'m|got|get|are) (?:bored|annoyed|disappointed|put off) (?:by|with|of)|(?:have )?(?:no interest in|an aversion to|no patience for|no time for|had enough of|no tolerance for|no enthusiasm for)|(?:am |'m |i'm )?(?:sick|tired|sick and tired) of|lost interest in|gave up on|seen enough|allergic to|turned off by|stay away from|steer clear of)\b",
    ),
    (
        "not",
        r"(?:(?:nothing|not(?: anything)?|less|don'?t want (?:anything|something)) (?:like|similar to|along the lines of)|unlike)\b",
    ),
    ("dislike", r"(?:way |far )?too (?:many|much)\b"),
    ("like", rf"(?:{_WE}\s+){_ADV}(?:like|liked|likes)\b(?!\s+to\b)"),
    ("like", r"(?:what|which|if|because|since) (?:i|we|you) (?:really )?liked?\b"),
    (
        "like",
        rf"{_ADV}(?:loved?|loves|enjoy(?:ed|s|ing)?|ador(?:e|ed|es)|appreciate[ds]?|(?:am|'m|i'm|was|are|were|im) (?:a )?(?:(?:big|huge|great|real|massive|total) )?(?:into|fans? of|keen on|fond of|obsessed with|crazy about|drawn to|enchanted by|fascinated by)|(?:big|huge|great|massive) fans? of|fans? of|into)\b(?!\s+to\b)",
    ),
    (
        "like",
        r"(?:my |our |all[- ]time )(?:(?:all[- ]time|absolute|personal|other|current) )*(?:favou?rites?|faves?)(?: \w+){0,3}?(?: (?:is|are|was|were|include|includes|would be|would have to be|has to be)|:)",
    ),
    (
        "like",
        r"(?:favou?rites?|faves?)\b(?:(?: \w+){0,2}? (?:is|are|was|were|include|includes|would be))?",
    ),
    (
        "seen",
        rf"{_ADV}(?:(?:i|we)(?:'ve| have)?\s+{_ADV}@DONE|(?:already|have|'ve|has|had) @DONE|@PAST|finished|i know|we know)\b",
    ),
    ("seen", r"@DONE(?= [^.!?]*\balready\b)"),
    (
        "not",
        r"(?:anything|everything|whatever|(?:any|all|every) (?:genres?|kinds?|types?|@NOUN|ones?)) (?:but(?! (?:not|with|also|it|i|nothing|no|more|less|make))|except(?: for)?|other than|besides|apart from|that(?:'s| is|s)? ?(?:not|isn'?t)|which isn'?t|aside from|not)\b",
    ),
    (
        "not",
        r"(?:except(?: for)?|excluding|exclude|other than|apart from|instead of|rather than|not including|besides|as long as (?:it'?s|it is|there(?:'s| is|'re| are)) (?:not|no)|that (?:aren'?t|isn'?t|are not|is not)|(?:isn'?t|aren'?t|ain'?t|wasn'?t|is not|are not|not (?:an?|the|any|as|quite|in the mood for)))\b",
    ),
    (
        "not",
        r"(?:(?:don'?t|dont|do not|didn'?t|doesn'?t|won'?t|shouldn'?t|should not|mustn'?t|must not|can'?t|cannot|not|never|no longer) (?:really |even |actually |particularly |want |feel like |wanna |need |in the mood for |(?:to )?(?:@VERB|show|give|include|suggest|recommend|have|be)(?: me)? |anything |any |looking for |be |too |so |interested in |up for |after )+)",
    ),
    (
        "not",
        r"(?:avoid(?:ing)?|skip(?:ping)?|no more|enough (?:of|with)|minus|sans|leave out|hold the|anything without|less of|not so much|keep out|cut out|no|not|non|without|nothing|none|never|neither|nor|zero)\b-?(?:\s+any\b)?",
    ),
    (
        "similar",
        r"(?:(?:more |much |just |a lot |a bit |somewhat |something |anything |stuff |@NOUN |things? |exactly )?(?:similar to|like|along the lines of|in the (?:style|vein|spirit|mould|mold) of|comparable to|reminiscent of|that reminds? me of|akin to|close to|resembling|such as|as good as|as in|à la|a la|ala)|based on|because (?:i|we) (?:liked|loved|enjoyed))\b",
    ),
    (
        "want",
        r"(?:give|show|find|get|recommend|suggest|bring|offer)(?: (?:me|us))?\b|(?:i|we|i'?m|we'?re|im)?(?: am| are)?\s?(?:want|need|fancy|crave|craving|prefer|looking for|searching for|in the mood for|feel like|up for|hoping for|interested in|thinking of|thinking)\b|(?:i|we|i'?m|we'?re|im)(?: am| are)? after\b|(?:something|anything|some|maybe|perhaps|how about|what about|ideally|preferably|only|just|must be|has to be|needs to be|should be|make it|instead|any|want|needs?|let'?s (?:go|try|do|see)|go for|rather|keep)\b",
    ),
]
_BEFORE: Final = r"(?<![\w'])"
_BREAK: Final = re.compile(
    r"[.!?\n;](?=\s|$)|\bbut\b|\bthough\b|\bhowever\b|\balthough\b|\(|\)|\s[-–—]\s"
)
_COMMA: Final = re.compile(r",")
_LIST_ON: Final = re.compile(r"\b(?:or|nor)\b")


class Cue(NamedTuple):
    start: int
    end: int
    operator: Operator
    said: str


class Scopes:
    """The cues of one text, asked for the operator at any place. Read once, ask often."""

    def __init__(
        self,
        low: str,
        speech: Speech,
        shields: list[tuple[int, int]] | None = None,
        sensed: list[tuple[int, int, Operator]] | None = None,
        *,
        cues: bool = True,
    ) -> None:
        """``low``: lower-case text. ``shields``: stretches (titles) in which no cue is read.

        ``speech``: the words of the catalogue's trade. ``sensed``: stretches with the operator that holds where no cue does. ``cues`` False
        reads none at all.
        """
        self.low = low
        self._sensed = sensed or []
        shields = shields or []
        found: list[Cue] = []
        for operator, pattern in _CUES if cues else ():
            for m in speech.pattern(_BEFORE + pattern).finditer(low):
                if any(m.start() < e and m.end() > s for s, e in shields):
                    continue
                said = m.group().rstrip(" -")
                if said:
                    found.append(Cue(m.start(), m.start() + len(said), operator, said))
        order = {id(c): k for k, c in enumerate(found)}
        found.sort(key=lambda c: (c.start, -(c.end - c.start), order[id(c)]))
        self.cues: list[Cue] = []
        for cue in found:
            if not self.cues or cue.start >= self.cues[-1].end:
                self.cues.append(cue)
        self.cues = self._combine(self.cues)
        if any(c.operator in ("not", "dislike", "retract") for c in self.cues):
            # the words of refusal are here: what they do not reach is not refused
            self._sensed = [x for x in self._sensed if x[2] not in ("not", "dislike", "retract")]
        self._starts = [c.start for c in self.cues]
        masked = list(low)
        for s, e in shields:
            masked[s:e] = "x" * (e - s)
        self._plain = "".join(masked)

    def _combine(self, cues: list[Cue]) -> list[Cue]:
        """ "loved X but not Y": a bare "not" after an attitude takes its colour."""
        out: list[Cue] = []
        flip: dict[str, Operator] = {"like": "dislike", "seen": "unseen", "dislike": "like"}
        for cue in cues:
            before = self.low[max(0, cue.start - 5) : cue.start]
            bare = cue.operator == "not" and cue.said in {"not", "not the", "never", "not so much"}
            if bare and before.rstrip().endswith("but") and out and out[-1].operator in flip:
                cue = cue._replace(operator=flip[out[-1].operator])
            out.append(cue)
        return out

    def at(self, place: int) -> Cue | None:
        """The cue in whose scope the character at ``place`` stands, or None."""
        n = bisect_left(self._starts, place)  # cues that begin before the place
        if n == 0:
            return None
        cue = self.cues[n - 1]
        between = self._plain[cue.end : place]
        if _BREAK.search(between):
            return None
        if cue.operator in ("not", "retract", "indifferent") and _COMMA.search(between):
            rest = re.split(r"[.!?\n;]", self._plain[cue.end :])[0]
            following = next((c.start for c in self.cues[n:]), len(self._plain)) - cue.end
            if not _LIST_ON.search(rest[: max(0, following)]):
                return None
        return cue

    def forget(self, spans: list[tuple[int, int]]) -> None:
        """Drop cues inside these stretches: the "no" of "no heavier than 1 kg" is used up."""
        self.cues = [c for c in self.cues if not any(s <= c.start < e for s, e in spans)]
        self._starts = [c.start for c in self.cues]

    def cued(self, place: int) -> Operator:
        """The operator that words say holds at ``place``, whatever else was sensed."""
        cue = self.at(place)
        return cue.operator if cue else "none"

    def operator(self, place: int) -> Operator:
        """The operator at ``place``: a cue's, else what was sensed, else "none"."""
        cued = self.cued(place)
        if cued != "none":
            return cued
        return next((o for s, e, o in self._sensed if s <= place < e), "none")
