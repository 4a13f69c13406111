"""The words of the catalogue's trade inside the reader's patterns.

Patterns are written once for every catalogue, with placeholders where a trade has its own
words: ``@NOUN`` ("film", "movies"; "tent"), ``@VERB`` (what one does with it: "watch"; "buy"),
``@DONE`` (and has done: "seen"; "bought"), ``@PAST`` (those of them that are no verb too: in
"something to read", nothing was read yet) and ``@DOING`` ("watching"). They are filled in and
compiled once per trade.
"""

import re
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from agent.trades import nouns_of, verbs_of

if TYPE_CHECKING:
    from catalog.items import Domain

_NEVER: Final = r"(?!)"  # an alternation of nothing matches nothing


class Speech(NamedTuple):
    """Alternations of escaped words, longest first, each in a group of its own."""

    noun: str
    verb: str
    done: str
    past: str
    doing: str

    @classmethod
    def of(cls, domain: "Domain") -> "Speech":
        """The catalogue's own words, from ``domain.yaml`` or from its trade."""
        verbs, done = verbs_of(domain)
        nouns = nouns_of(domain)
        past = [d for d in done if d not in verbs and d not in nouns]
        return cls(
            _either(nouns), _either(verbs), _either(done), _either(past), _either(map(_ing, verbs))
        )

    def words(self) -> frozenset[str]:
        """The words for using an item, in all their forms: they say nothing of a subject."""
        groups = (self.verb, self.done, self.doing)
        return frozenset(w.replace("\\", "") for g in groups for w in g[3:-1].split("|"))

    def pattern(self, template: str, flags: int = 0) -> re.Pattern[str]:
        """``template`` with its placeholders filled in, compiled; cached."""
        return _compiled(template, self, flags)


@cache
def _compiled(template: str, speech: Speech, flags: int) -> re.Pattern[str]:
    for name, words in zip(("NOUN", "VERB", "DONE", "PAST", "DOING"), speech, strict=True):
        template = template.replace(f"@{name}", words)
    return re.compile(template, flags)


def _either(words: object) -> str:
    chosen = sorted({w for w in words if w}, key=lambda w: (-len(w), w))  # type: ignore[attr-defined]
    return f"(?:{'|'.join(map(re.escape, chosen))})" if chosen else _NEVER


def _ing(verb: str) -> str:
    """ "watch" -> "watching", "use" -> "using", "get" -> "getting"; of a phrase its first word."""
    first, *rest = verb.split(" ")
    if first.endswith("e") and not first.endswith("ee"):
        first = first[:-1]
    elif len(first) == 3 and first[-1] in "tnpg" and first[-2] in "aeiou":
        first += first[-1]
    return " ".join([first + "ing", *rest])
