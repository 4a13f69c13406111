"""A dialogue as numbers: what the embedded judge looks at.

Only the words of both sides are used, so that a dialogue of any system can be judged: lengths,
repetition, how well replies fit what was said (MiniLM cosines), what the person's turns do
(the understander's intents), which items of the catalogue the replies name, and the cosines
of both sides with a few poles of our own writing ("thanks, that is what I wanted").

    Describer.open(settings).describe([Exchange("user", "a comedy please"), ...])
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agent.settings import Settings
from catalog.embed import Embedder
from catalog.items import Catalog
from tools.find_title import TitleLinker
from tools.turn_encoder import TurnEncoder

Floats = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Floats]  #: texts -> unit rows (n, 384)
YEAR = re.compile(r"\s*\((\d{4})\)")
#: Intents of the person's turns that say how it goes: mean over the turns, and of the last.
WATCHED = ("accept", "critique", "more", "reject", "thanks", "chat", "recommend")


class Exchange(NamedTuple):
    """One contribution: ``role`` is "user" or "agent"."""

    role: str
    text: str


#: Ends of scales that the vectors are measured against; our own sentences.
POLES = {
    "pleased": ("Thanks, that is exactly what I wanted!", "Great, I will take that one."),
    "annoyed": ("That is not what I asked for.", "You are not listening, this is useless."),
    "asks again": ("I already told you what I want.", "Can you please recommend something else?"),
    "reply helps": ("I recommend this one because it fits what you asked for.",),
    "reply evades": ("I have not seen that one.", "I am not sure what you mean."),
    "reply asks": ("What kind do you like?",),
    "nonsense": ("asdf is is the the of a of", "lol what even is this"),
    "closing": ("Goodbye, have a nice day!", "You're welcome, enjoy!"),
}
GOOD = re.compile(
    r"\b(thanks?|thank you|great|good|nice|perfect|love|awesome|cool|yes|ok(ay)?)\b", re.I
)
BAD = re.compile(
    r"\b(no|not|don'?t|wrong|again|never|but|what\?|bad|hate|useless|stop|nope)\b", re.I
)
NAMED = re.compile(r"\(\d{4}\)|\"[A-Z][^\"]+\"|\b[A-Z][\w']+ (?:of|the|and|[A-Z][\w']+)")

NAMES = (
    "agent words", "agent words max", "agent words last", "agent words min", "user words",
    "user words last", "turns", "ends with user", "agent distinct", "agent repeats",
    "user repeats", "agent stutters", "agent names", "agent questions", "agent lists",
    "user questions", "user shouts", "user good", "user bad", "user good last", "user bad last",
    "fit mean", "fit min", "fit last", "fit to the first", "agent likeness", "user likeness",
    *(f"agent ~ {p}" for p in POLES), *(f"user ~ {p}" for p in POLES),
    *(f"last user ~ {p}" for p in POLES),
    "items named", "items distinct", "items at once", "turns that name", "item fits", "item fame",
    *(f"user does {i}" for i in WATCHED), *(f"last user does {i}" for i in WATCHED),
)  # fmt: skip


class Describer:
    """Turns dialogues into numbers, with one catalogue and one encoder."""

    def __init__(self, catalog: Catalog, embedder: Embedder, turns: TurnEncoder) -> None:
        self.catalog = catalog
        self.linker = TitleLinker(catalog)
        self._row = lru_cache(maxsize=20_000)(lambda text: embedder.encode([text])[0])
        self._intents = lru_cache(maxsize=20_000)(lambda c, text: turns.read(c, text)[0])
        self._poles = np.stack([self.encode(texts).mean(0) for texts in POLES.values()])

    @classmethod
    def open(cls, settings: Settings) -> Describer:
        """With the catalogue and models that ``settings`` name."""
        embedder = Embedder(threads=1)
        turns = TurnEncoder.load(settings.model / "understander", embedder)
        return cls(Catalog.open(settings.catalog), embedder, turns)

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit rows, ``(n, 384)``; each text is embedded once."""
        return np.stack([self._row(t) for t in texts])

    def describe(self, dialogue: Sequence[Exchange]) -> Floats:
        """Features, shape ``(len(NAMES),)``; a side that said nothing counts as one empty text."""
        agent = [e.text for e in dialogue if e.role == "agent"] or [""]
        user = [e.text for e in dialogue if e.role == "user"] or [""]
        a, u = self.encode(agent), self.encode(user)
        fits = [float(u[i] @ a[j]) for i, j in _answered(dialogue)] or [0.0]
        values = [
            *_agent_side(agent),
            *_user_side(user, dialogue),
            float(np.mean(fits)), float(min(fits)), fits[-1], float((a @ u[0]).mean()),
            _likeness(a), _likeness(u),
            *(a @ self._poles.T).mean(0).tolist(),
            *(u @ self._poles.T).mean(0).tolist(),
            *(u[-1] @ self._poles.T).tolist(),
            *self._items(agent, u),
            *self._doings(dialogue),
        ]  # fmt: skip
        ordered = dict(zip(_ORDER, values, strict=True))
        return np.array([ordered[n] for n in NAMES], dtype=np.float32)

    def _items(self, agent: Sequence[str], user: Floats) -> list[float]:
        """Which items the replies name, and how near they are to what was said."""
        named = [
            [link.row for link in self.linker.link(YEAR.sub("", t)[:3000]) if link.kind == "item"]
            for t in agent
        ]
        rows = [r for turn in named for r in turn]
        if not rows:
            return [0.0] * 6
        fits = self.catalog.vectors[rows] @ user.T
        return [
            float(np.log1p(len(rows))),
            float(np.log1p(len(set(rows)))),
            float(np.log1p(max(map(len, named)))),
            float(np.mean([bool(turn) for turn in named])),
            float(fits.max()),
            float(np.log1p(self.catalog.popularity[rows]).mean()),
        ]

    def _doings(self, dialogue: Sequence[Exchange]) -> list[float]:
        """Probabilities of the watched intents: mean over the person's turns, then the last."""
        seen, rows = "none", []
        for exchange in dialogue:
            if exchange.role == "agent":
                seen = "shown"
                continue
            intents = self._intents(seen, exchange.text[:1000] or ".")
            rows.append([intents[i] for i in WATCHED])
        if not rows:
            return [0.0] * (2 * len(WATCHED))
        return [*np.mean(rows, axis=0).tolist(), *rows[-1]]


_ORDER = (
    "agent words", "agent words max", "agent words last", "agent words min", "agent distinct",
    "agent repeats", "agent stutters", "agent names", "agent questions", "agent lists",
    "user words", "user words last", "turns", "ends with user", "user repeats", "user questions",
    "user shouts", "user good", "user bad", "user good last", "user bad last",
    *NAMES[NAMES.index("fit mean") :],
)  # fmt: skip


def _agent_side(agent: Sequence[str]) -> list[float]:
    words = [len(t.split()) for t in agent]
    return [
        float(np.log1p(np.mean(words))),
        float(np.log1p(max(words))),
        float(np.log1p(words[-1])),
        float(np.log1p(min(words))),
        _distinct(agent),
        1 - len(set(agent)) / len(agent),
        float(np.mean([_stutter(t) for t in agent])),
        float(np.mean([bool(NAMED.search(t)) for t in agent])),
        float(np.mean(["?" in t for t in agent])),
        float(np.mean([t.count("\n") > 1 or t.count(",") > 2 for t in agent])),
    ]


def _user_side(user: Sequence[str], dialogue: Sequence[Exchange]) -> list[float]:
    words = [len(t.split()) for t in user]
    return [
        float(np.log1p(np.mean(words))),
        float(np.log1p(words[-1])),
        float(np.log1p(len(dialogue))),
        float(dialogue[-1].role == "user") if dialogue else 0.0,
        1 - len({t.lower().strip() for t in user}) / len(user),
        float(np.mean(["?" in t for t in user])),
        float(np.mean([len(t) > 3 and t.upper() == t for t in user])),
        float(np.mean([bool(GOOD.search(t)) for t in user])),
        float(np.mean([bool(BAD.search(t)) for t in user])),
        float(bool(GOOD.search(user[-1]))),
        float(bool(BAD.search(user[-1]))),
    ]


def _answered(dialogue: Sequence[Exchange]) -> list[tuple[int, int]]:
    """(index of a user text, index of the agent text right after it)."""
    pairs, users, agents = [], -1, -1
    before = ""
    for exchange in dialogue:
        if exchange.role == "user":
            users += 1
        else:
            agents += 1
            if before == "user":
                pairs.append((users, agents))
        before = exchange.role
    return pairs


def _distinct(texts: Sequence[str]) -> float:
    grams = [
        tuple(words[k : k + 2])
        for words in (t.lower().split() for t in texts)
        for k in range(len(words) - 1)
    ]
    return len(set(grams)) / len(grams) if grams else 1.0


def _stutter(text: str) -> float:
    """Share of words that repeat the word before."""
    words = text.lower().split()
    return sum(x == y for x, y in pairwise(words)) / max(len(words), 1)


def _likeness(rows: Floats) -> float:
    """Mean cosine between the texts of one side; 0 for a single text."""
    n = len(rows)
    if n < 2:
        return 0.0
    likeness = rows @ rows.T
    return float((likeness.sum() - np.trace(likeness)) / (n * (n - 1)))
