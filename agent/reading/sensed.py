"""What the encoder sensed, turned into the same pieces that the rules find.

The encoder sees *that* a stretch is a title, a category or a subject and how it is meant;
*which* title or value it is, the catalogue says: its spans are linked with a looser
threshold and matched to the lexicon with tolerance for slips. With ``arm`` "both" it
fills gaps; with "encoder" nothing else is read, so that it can be measured alone.
"""

from typing import TYPE_CHECKING, Final

from rapidfuzz import fuzz, process

from agent.reading.cues import Operator
from agent.reading.lexicon import Found, Lexicon
from tools.find_title import Link, TitleLinker
from tools.names import fold, tokens
from tools.turn_encoder import Span

if TYPE_CHECKING:
    from agent.encoder import EncoderReading

SURE: Final = 0.6  # least probability of a span that is taken
SURE_OPERATOR: Final = 0.8
SURE_REFUSAL: Final = 0.97  # a wrong "not" costs more than a missed one
LOOSE: Final = 0.3  # threshold for linking where the encoder says "this is a name"
_OPERATORS: Final[dict[str, Operator]] = {
    "want": "want", "not": "not", "like": "like", "dislike": "dislike", "seen": "seen",
    "similar": "similar", "retract": "retract", "min": "want", "max": "want",
}  # fmt: skip


def sensed_links(
    text: str, reading: "EncoderReading", linker: TitleLinker, taken: list[tuple[int, int]]
) -> list[Link]:
    """Names at the encoder's title and person spans that nothing else has used."""
    out: list[Link] = []
    for span in _free(reading.spans, taken, ("title", "person")):
        said = text[span.start : span.end]
        kind = "item" if span.slot == "title" else "person"
        links = [x for x in linker.link(said, threshold=LOOSE) if x.kind == kind]
        best = max(links, key=lambda x: x.end - x.start, default=None)
        if best is None or best.end - best.start < 0.5 * len(said) or len(said) < 3:
            continue
        out.append(best._replace(start=span.start + best.start, end=span.start + best.end))
    return out


def sensed_values(
    text: str, reading: "EncoderReading", lexicon: Lexicon, taken: list[tuple[int, int]]
) -> list[Found]:
    """Catalogue values and scale words at the encoder's spans, misspellings included."""
    out: list[Found] = []
    for span in _free(reading.spans, taken, ("category", "place", "scale")):
        said = text[span.start : span.end]
        exact = list(lexicon.find(said, tokens(said)))
        if exact:
            out += [f._replace(start=f.start + span.start, end=f.end + span.start) for f in exact]
            continue
        if len(said) < 5:
            continue
        surfaces = lexicon.scale_words if span.slot == "scale" else lexicon.values
        near = process.extractOne(fold(said), list(surfaces), scorer=fuzz.ratio, score_cutoff=88)
        if near is not None:
            entry = surfaces[near[0]]
            entries = tuple(entry) if isinstance(entry, list) else (entry,)
            out.append(Found(span.start, span.end, said, entries))
    return out


def sensed_operators(reading: "EncoderReading") -> list[tuple[int, int, Operator]]:
    """How the encoder thinks each of its spans is meant, for places without a cue."""
    return [
        (s.start, s.end, _OPERATORS[s.operator])
        for s in reading.spans
        if s.score >= SURE
        and s.operator in _OPERATORS
        and s.sure >= (SURE_REFUSAL if s.operator in ("not", "dislike") else SURE_OPERATOR)
    ]


def sensed_subjects(reading: "EncoderReading") -> list[tuple[int, int]]:
    """Stretches that tell what it should be about."""
    wanted = ("want", "like", "similar")
    return [
        (s.start, s.end)
        for s in reading.spans
        if s.slot == "about" and s.score >= SURE and s.operator in wanted
    ]


def _free(spans: list[Span], taken: list[tuple[int, int]], slots: tuple[str, ...]) -> list[Span]:
    return [
        s
        for s in spans
        if s.slot in slots
        and s.score >= SURE
        and not any(s.start < e and s.end > b for b, e in taken)
    ]
