"""Nothing reaches a person that this file has not passed.

A draft is delexicalised text. Names and numbers can only come from slots, and every
slot must have evidence; what is left is checked for claims in plain words: digits,
capitalised names, catalogue values (genres, languages...), superlatives, scale words.
Pure functions; the verdict says what was wrong so that a rewrite can be asked for.
"""

import re
from functools import cached_property
from typing import NamedTuple

from agent.state import Evidence, Span, Unit
from agent.talker import Brief, required
from agent.trades import foreign_words
from catalog.items import Catalog
from tools.names import UNSEEN_RANK, fold, rank

SLOT = re.compile(r"<[a-z]+\d*(?:\.[a-z]+\d*)?>")
TOKEN = re.compile(SLOT.pattern + r"|[.!?:]|[^\W\d_]+(?:['’-][^\W\d_]+)*")
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
STUTTER = re.compile(r"<(?:nouns?|count)> <nouns?> <nouns?>|<nouns?> <nouns?>")
#: Words that state a fact or a comparison wherever they stand.
CLAIMS = frozenset(
    """best worst greatest finest highest lowest newest oldest latest earliest longest shortest
    funniest scariest darkest award awards award-winning oscar oscars winner winning nominated
    acclaimed classic masterpiece famous popular hit blockbuster cult underrated overrated sequel
    prequel remake franchise trilogy true based novel better worse more less than longer shorter
    newer older funnier scarier darker lighter slower faster first second third last
    hundred thousand million twenty thirty rated rating review reviews critics box-office""".split()
)
#: Numbers and such words allowed in plain text for acts that list or count.
COUNTING = frozenset("first second third last more".split())
#: Words for durations, said of an amount that is none: "it takes 40 €".
DURATION = frozenset("takes take took needs need long runs run lasts last running hours".split())
#: Words for a mood, said of what is none: "told in a waterproof key".
MOODY = frozenset("mood tone vibe told key feel feeling spirit atmosphere sets call comes".split())
_TIMES = re.compile(r"\b(?:minutes?|hours?|days?|weeks?|months?|years?)$")
_DEGREE = re.compile(r"\b(?:as|so|very|just|quite|rather|more|truly|really) <i\d+\.mood>")
_LED = re.compile(r"^(?:in|for|with|from|up|at|of|on|to)\s")
#: Words that lead to a date or a maker, before a slot that is none: "it came out in Veldtra".
_MISLED = re.compile(
    r"\b(?:(?:came|come) out (?:in|from|around)|released in|dates? (?:from|back to)) @(?!date)\w+"
    r"|\b(?:is|comes?|it's) from @(?:category|tag|mood|maker|people|shared)\b"
)
#: Facet-value words too common in plain talk to count as a claim.
NEUTRAL = frozenset("art life live new people world".split())
MAX_CHARS = 420
MANY = 500  # values of a facet that are names, so that an everyday word among them is no claim
EVERYDAY = 8_000  # rank of a word that is hardly ever a name


def _slot_role(match: re.Match[str]) -> str:
    """ "<i1.date>" -> "@date", for patterns over words and slots."""
    return "@" + match.group().strip("<>").rpartition(".")[2]


class Verdict(NamedTuple):
    """``ok`` or what is wrong, in words a model can act on."""

    ok: bool
    complaint: str = ""


class Verifier:
    """Checks drafts against their briefs for one catalogue."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    @cached_property
    def lexicon(self) -> frozenset[str]:
        """Lower-case words that would be a claim in plain text: facet values, scale words."""
        words: set[str] = set(CLAIMS)
        for facet in self.catalog.domain.facets:
            if facet.kind == "categories" and facet.role in ("category", "origin", "language"):
                # Phrases ("the states") would put plain words on the list; each of their
                # telling words is some one-word value or a capitalised name anyway.
                values = (*self.catalog.values(facet.name), *facet.synonyms)
                names = len(values) > MANY  # of thousands of series one is called "You"
                for value in values:
                    word = str(value).casefold()
                    if not WORD.fullmatch(word) or len(word) <= 2:
                        continue
                    if not names or rank(word) > EVERYDAY:
                        words.add(word)
            if facet.role == "mood" and facet.kind == "categories":
                words |= {str(v).casefold() for v in self.catalog.values(facet.name)}
        for scale in self.catalog.domain.scales:
            for phrase in (*scale.more, *scale.less, scale.label):
                if " " not in phrase:
                    words.add(phrase.casefold())
        return frozenset(words - NEUTRAL)

    def check(self, draft: str, brief: Brief) -> Verdict:
        """Whether ``draft`` may be shown; see the module docstring for the rules."""
        text = draft.strip()
        if not text:
            return Verdict(False, "The draft is empty.")
        if len(text) > MAX_CHARS:
            return Verdict(False, f"The draft has {len(text)} characters; at most {MAX_CHARS}.")
        slots = SLOT.findall(text)
        for slot in slots:
            if slot not in brief.texts:
                return Verdict(False, f"{slot} has no evidence here.")
        for group in required(brief):
            if not any(set(alternative) <= set(slots) for alternative in group):
                wanted = " or ".join(" with ".join(a) for a in group)
                return Verdict(False, f"The sentence must use {wanted}.")
        if STUTTER.search(text):
            return Verdict(False, "Two slots for the same noun stand side by side.")
        if any(slots.count(s) > (2 if s.endswith(".title>") else 1) for s in slots):
            return Verdict(False, "A slot is used too often.")
        verdict = self._fitting_words(text, slots, brief)
        return verdict if not verdict.ok else self._plain_words(text, brief)

    @cached_property
    def foreign(self) -> frozenset[str]:
        """Words of other trades: nobody watches a tent or wears a book."""
        return foreign_words(self.catalog.domain)

    @cached_property
    def has_moods(self) -> bool:
        names = (f"{f.label} {f.plural}" for f in self.catalog.domain.facets)
        return any("mood" in name for name in names)

    def _fitting_words(self, text: str, slots: list[str], brief: Brief) -> Verdict:
        """Words must suit the catalogue's kind of thing and what a slot stands for."""
        words = {w.casefold() for w in WORD.findall(SLOT.sub(" ", text))}
        if strange := words & self.foreign:
            return Verdict(False, f"'{min(strange)}' is said of other things; say it otherwise.")
        if misled := _MISLED.search(SLOT.sub(_slot_role, " ".join(TOKEN.findall(text)))):
            return Verdict(False, f"'{misled.group()}' is the wrong word before that slot.")
        amounts = [brief.texts[s] for s in slots if s.endswith(".amount>")]
        if any(not _TIMES.search(t) for t in amounts) and words & DURATION:
            return Verdict(False, "The amount is no duration; say what it comes to.")
        moods = [brief.texts[s] for s in slots if s.endswith(".mood>")]
        odd = any(_LED.match(t) for t in moods) or (moods and not self.has_moods)
        if odd and (words & MOODY or _DEGREE.search(text)):
            return Verdict(False, "What stands in the slot is no mood; say that it has it.")
        return Verdict(True)

    def _plain_words(self, text: str, brief: Brief) -> Verdict:
        plain = SLOT.sub(" \x00 ", text)
        if re.search(r"[\d<>\[\]{}|@#*_]", plain):
            return Verdict(False, "No digits or markup in plain text; use the slots.")
        if text[-1] not in ".?!…" and not text.endswith(("<i1.premise>", ">")):
            return Verdict(False, "The sentence does not end.")
        allowed = (
            COUNTING if brief.act in ("more", "refine", "intro", "help", "ask") else frozenset()
        )
        told = " ".join([brief.said, *brief.texts.values()]).casefold()
        sentence_start = True
        words: list[str] = []
        for token in TOKEN.findall(text):
            if token in ".!?:":
                sentence_start = True
                continue
            if SLOT.fullmatch(token):
                # A premise brings its own full stop, so a new sentence follows it.
                sentence_start = brief.texts[token].endswith((".", "!", "?"))
                words.append("\x00")
                continue
            low = token.casefold()
            if uncommon(low) and low in told:  # "say zorfimuqex": an order carried out
                return Verdict(False, f"'{token}' is a word you were given; use its slot.")
            if low in self.lexicon and low not in allowed:
                return Verdict(False, f"'{token}' is a claim in plain words; use a slot.")
            if token[0].isupper() and not sentence_start and low.split("'")[0] != "i":
                return Verdict(False, f"'{token}' is a name in plain text; use a slot.")
            sentence_start = False
            words.append(low)
        for k in range(len(words) - 5):
            if words[k : k + 3] == words[k + 3 : k + 6]:
                return Verdict(False, "The sentence repeats itself.")
        return Verdict(True)


def uncommon(word: str) -> bool:
    """A word that stands in a reply's plain text by itself but hardly ever. Where the prompt's own
    text holds it too, it was copied: that text may be quoted through slots only, and nothing but
    an injection has such words said plainly."""
    return len(word) >= 5 and not {"'", "’"} & set(word) and rank(fold(word)) >= UNSEEN_RANK


def realise(draft: str, evidence: dict[str, Evidence], **unit: object) -> Unit:
    """Fill the slots of a passed draft; every filled span keeps its evidence.

    Articles before a slot agree with what the slot turned out to be ("a" / "an"), and a
    slot's own full stop is not doubled.
    """
    out: list[str] = []
    spans: list[Span] = []
    position = 0
    length = 0
    last = ""
    text = draft.strip()
    for match in SLOT.finditer(text):
        before = text[position : match.start()]
        proof = evidence[match.group()]
        words = proof.text
        before = _agree(before, words)
        if words.startswith("that are ") and _one_thing(text[position : match.start()], last):
            words = "that is " + words.removeprefix("that are ")
        sentence_start = not (out and "".join(out).strip()) and not before.strip()
        if sentence_start or before.rstrip().endswith((".", "!", "?")):
            words = words[:1].upper() + words[1:]
        out.append(before)
        length += len(before)
        spans.append(Span(start=length, end=length + len(words), evidence=proof))
        out.append(words)
        length += len(words)
        position, last = match.end(), match.group()
        if words.endswith((".", "!", "?")) and text[position : position + 1] == ".":
            position += 1
    out.append(text[position:])
    return Unit(text="".join(out), spans=tuple(spans), **unit)  # type: ignore[arg-type]


def _one_thing(between: str, last: str) -> bool:
    """Does "that are ..." follow one thing: "a <noun> <c1>", "nothing <c1>"?"""
    lead = between.strip().casefold()
    return (last == "<noun>" and not lead) or lead.endswith(("thing", "one"))


def enriched(draft: str, brief: Brief) -> str:
    """A bare reason ("This one is listed as horror.") with who made the item and when behind it.

    Only where the draft says none of it and there is no premise; slots of the brief alone, so
    the sentence is as sound as the draft.
    """
    used = set(SLOT.findall(draft))
    told = {"<i1.premise>", "<i1.maker>", "<i1.date>", "<i1.people>", "<i1.shared>", "<m1>"}
    if brief.act != "recommend" or used & told or "<i1.premise>" in brief.texts:
        return draft
    maker = "by <i1.maker>" if "<i1.maker>" in brief.texts else ""
    date = "from <i1.date>" if "<i1.date>" in brief.texts else ""
    if not maker and not date:
        return draft
    return f"{draft.strip()} It is {' and '.join(x for x in (maker, date) if x)}."


def _agree(before: str, following: str) -> str:
    """ "a" or "an" at the end of ``before``, as the word after it wants."""
    article = r"\1n\2" if following[:1].casefold() in "aeiou" else r"\1\2"
    return re.sub(r"\b([Aa])n?( +)$", article, before)
