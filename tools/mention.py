"""Is this run of words a mention of an item? A logistic regression on two dozen cues.

"It", "Up" and "Home" are titles and words. What tells them apart: how common the words
are, capitals, "like ...", "seen ...", quotes, a year, how much the item is talked about.
The weights were fitted by ``python -m training.linker`` on the ReDial training and
validation dialogues, half of them lower-cased. Those in ``BY_HAND`` are not fitted: those
dialogues hold no misspelt, quoted or dated titles and almost no short forms, so a fit
would learn that such things are never mentions.
"""

import math
import re
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tools.names import ARTICLES, UNSEEN_RANK, Token, rank

#: Feature -> weight. Order is that of ``features``.
WEIGHTS: Final[dict[str, float]] = {
    "bias": -1.42,
    "short": -1.60,  # "eternal sunshine"
    "derived": 0.27,  # the part after a colon, an acronym, "the matrix 2"
    "one_word": -10.48,
    "two_words": -1.60,
    "rarity": 0.52,  # of the rarest word, 0..1 on the log scale of frequency ranks
    "all_common": -0.53,
    "popular": 7.52,  # log1p of the mention count, over 6
    "capital": 0.32,
    "lower": -2.30,  # though capitals are used elsewhere in the text
    "cue": 1.56,  # "seen", "like", "called" right before
    "listed": 1.24,  # after a comma or "and"
    "ends": 0.60,  # a sentence ends here
    "starts": 0.82,
    "whole": 0.0,
    "quoted": 4.0,
    "year": 3.0,
    "repair": -0.8,  # a tenth of the letters changed
    "article": 1.47,  # "the", and the title has it too
    "noun": 0.3,  # "film" beside it
    "one_word*capital": 1.88,
    "one_word*cue": -0.38,
    "one_word*lower": -2.07,
    "one_word*rarity": 9.44,
    "short*popular": 0.0,
    "title_case": 1.80,  # several words, all capitalised
    "goes_on": -6.0,  # ": Chapter 4" follows: another title of the series
}
BY_HAND: Final = (
    "short", "whole", "quoted", "year", "repair", "noun", "short*popular", "goes_on",
)  # fmt: skip
_VECTOR: Final = np.array(list(WEIGHTS.values()))

_CUES: Final = frozenset(
    "like likes liked love loved loves adore adored adores enjoy enjoyed "
    "seen saw see watch watched watching watches "
    "hate hated dislike disliked recommend recommended suggest try about called titled named of "
    "favorite favourite is was than as similar to remember rewatch prefer".split()
)
_LIST: Final = frozenset({"and", "or", "also", "but", "plus", "both", "nor", "not"})
_YEAR_AFTER: Final = re.compile(
    r"^[\s,]*(?:\(?((?:19|20)\d\d)\b\)?|(?:from|of|in)\s+((?:19|20)\d\d)\b)"
)
_YEAR_BEFORE: Final = re.compile(r"\b((?:19|20)\d\d)(?:['’]s)?\s*(?:version\s+of\s+)?(?:the\s+)?$")
_GOES_ON: Final = re.compile(r"\s?(?::\s|\s[-–—]\s)[A-Z0-9]|\s(?:Part|Chapter|Episode|\d)\b")
QUOTES: Final = "\"“”'‘’«»*_`"


class Span(NamedTuple):
    """Tokens ``first..last`` (inclusive) of a text, which are a form of some title.

    ``words`` is that form; ``repair`` the share of its letters that were misspelt.
    """

    first: int
    last: int
    words: tuple[str, ...]
    repair: float


class Candidate(NamedTuple):
    """What is known of the item that a span may mean."""

    kind: str  # of form, see ``tools.names.title_forms``
    popularity: float  # log1p of the mention count
    has_article: bool  # its title begins with one
    made: float | None  # its year


def probability(values: npt.NDArray[np.float64], bonus: float = 0.0) -> float:
    """Probability in 0..1 that a span with these features is a mention."""
    logit = float(_VECTOR @ values) + bonus
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


def features(
    text: str, toks: list[Token], span: Span, item: Candidate, nouns: frozenset[str]
) -> npt.NDArray[np.float64]:
    """The cues of one span in the order of ``WEIGHTS``. Shape: ``(27,)``."""
    first, last = toks[span.first], toks[span.last]
    before, after = text[: first.start], text[last.end :]
    inside = [t for t in toks[span.first : span.last + 1] if t.word not in ARTICLES]
    mixed = any(t.capital for t in toks[1:]) and not all(t.capital for t in toks)
    starts = not before.strip() or bool(re.search(r"[.!?\n;:]\W*$", before[-12:]))
    rest = after[:20].lstrip(QUOTES + " ")
    ends = not rest or rest[0] in ".!?,;:()\n"
    one, several = len(span.words) == 1, len(span.words) > 1
    whole_case = several and all(t.capital for t in inside)
    capital = inside[0].capital and (not starts or whole_case)
    lower = mixed and not inside[0].capital
    prior = [t.word for t in toks[max(0, span.first - 3) : span.first]]
    article = bool(prior) and prior[-1] in ARTICLES
    if article:
        prior.pop()
    previous = prior[-1] if prior else ""
    following = toks[span.last + 1].word if span.last + 1 < len(toks) else ""
    comma = before.rstrip(QUOTES + " ").endswith(",")
    cue = previous in _CUES and not comma
    quoted = before[-1:] != "" and before[-1] in QUOTES and after[:1] != "" and after[0] in QUOTES
    rarity = max(math.log(rank(w)) for w in span.words) / math.log(UNSEEN_RANK)
    year = year_near(text, first.start, last.end)
    popular = item.popularity / 6
    values = (
        1.0,
        item.kind == "short",
        item.kind in ("tail", "acronym", "sequel", "compact"),
        one,
        len(span.words) == 2,
        rarity,
        rarity < 0.68,
        popular,
        capital,
        lower,
        cue,
        comma or previous in _LIST,
        ends,
        starts,
        starts and ends,
        quoted,
        year is not None and item.made is not None and abs(item.made - year) <= 1,
        10 * span.repair,
        article and item.has_article,
        following in nouns or previous in nouns,
        one and capital,
        one and cue,
        one and lower,
        one * rarity,
        (item.kind == "short") * popular,
        whole_case,
        bool(_GOES_ON.match(after[:12])),
    )
    return np.array(values, dtype=np.float64)


def year_near(text: str, start: int, end: int) -> int | None:
    """A year written right after (or before) a name: "It (1990)", "the 1990 It"."""
    m = _YEAR_AFTER.match(text[end : end + 30])
    if m:
        return int(m.group(1) or m.group(2))
    m = _YEAR_BEFORE.search(text[max(0, start - 30) : start])
    return int(m.group(1)) if m else None
