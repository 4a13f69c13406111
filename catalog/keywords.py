"""Keywords of an item, from a text that is read and not kept.

A closed vocabulary (``data/keywords.txt``, our own list) is looked up in the text as 1- to
3-word phrases; the rarest matches win (inverse document frequency, more for a repeated
word). A closed list keeps names, sentences and noise out by construction.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

VOCABULARY = Path(__file__).parent / "data" / "keywords.txt"
MOST = 8
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9'’é-]*")
LONGEST = 3


def read_vocabulary(path: Path = VOCABULARY) -> dict[str, str]:
    """Form -> keyword, forms reduced to the singular as ``derive`` sees them."""
    forms: dict[str, str] = {}
    for line in path.read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        keyword, _, others = line.partition(":")
        keyword = keyword.strip()
        for form in [keyword, *(o.strip() for o in others.split(","))]:
            if form:
                forms.setdefault(" ".join(singular(w) for w in form.split()), keyword.lower())
    return forms


def derive(texts: Sequence[str], forms: dict[str, str] | None = None) -> list[list[str]]:
    """At most ``MOST`` keywords a text, most telling first. Same length as ``texts``."""
    forms = read_vocabulary() if forms is None else forms
    found = [_matches(text, forms) for text in texts]
    spread = Counter(keyword for counts in found for keyword in counts)
    n = max(len(texts), 1)
    ranked = []
    for counts in found:
        score = {k: (1 + math.log(c)) * math.log(1 + n / spread[k]) for k, c in counts.items()}
        ranked.append(sorted(score, key=lambda k: (-score[k], k))[:MOST])
    return ranked


def _matches(text: str, forms: dict[str, str]) -> Counter[str]:
    """Keywords in a text; the longest phrase takes its words ("world war ii", not "war")."""
    counts: Counter[str] = Counter()
    for part in re.split(r"[.!?;:,()\"“”]+", text):
        words = [singular(word) for word in WORD.findall(part)]
        at = 0
        while at < len(words):
            for size in range(min(LONGEST, len(words) - at), 0, -1):
                keyword = forms.get(" ".join(words[at : at + size]))
                if keyword:
                    counts[keyword] += 1
                    at += size
                    break
            else:
                at += 1
    return counts


def singular(word: str) -> str:
    """A word without possessive and plural, by rules that need no dictionary."""
    word = word.replace("’", "'").removesuffix("'s").removesuffix("'")
    if len(word) > 4 and word.endswith("ies") and word not in ("series", "movies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
