"""Real conversations cut into questions: what was said so far, what was recommended next.

One definition of "a recommender turn", used by training and evaluation alike (they may
not import each other): at each agent message that names a film for the first time, the
context is every earlier message, the targets are the films newly named in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from catalog.importers.conversations import Dialogue, Film, Rows
from tools.features import Query, Role
from tools.tokens import MENTIONS

KEPT_TURNS = 8  # of the context; nothing downstream reads further back


class Asked(NamedTuple):
    """One question. ``targets``: (film, its row or None if the catalogue lacks it)."""

    dialogue: str
    turn: int
    query: Query
    targets: tuple[tuple[Film, int | None], ...]

    @property
    def rows(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(row for _, row in self.targets if row is not None))


def asked(dialogue: Dialogue, rows: Rows) -> Iterator[Asked]:
    """The questions of a dialogue, in order."""
    known: set[str] = set()
    mine: dict[int, None] = {}
    theirs: dict[int, None] = {}
    said: list[tuple[Role, str]] = []
    bare: list[tuple[Role, str]] = []
    slots: dict[str, str] = {}
    for turn, message in enumerate(dialogue.messages):
        new = [f for f in dict.fromkeys(message.films) if f.key not in known]
        new = list({f.key: f for f in new}.values())
        if message.role == "agent" and new:
            query = Query(
                turns=tuple(said[-KEPT_TURNS:]),
                delexicalised=tuple(bare[-KEPT_TURNS:]),
                liked=tuple(theirs),
                seen=tuple(row for row in mine if row not in theirs),
            )
            yield Asked(dialogue.id, turn, query, tuple((f, rows(f)) for f in new))
        for film in message.films:
            known.add(film.key)
            slots.setdefault(film.key, MENTIONS[min(len(slots), len(MENTIONS) - 1)])
            row = rows(film)
            if row is not None:
                held = theirs if message.role == "user" else mine
                held.pop(row, None)  # named again: it is the latest now
                held[row] = None
        said.append((message.role, message.written()))
        bare.append((message.role, message.written(lambda film: slots[film.key])))
