"""Where the ranking questions come from: ReDial test, or a JSON-lines file of anyone's.

A question is a context and the items that were recommended next. A target the catalogue
lacks stays a question, and a miss.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from catalog.errors import ParleyError
from catalog.importers.conversations import Rows, read
from catalog.items import Catalog
from tools.asked import KEPT_TURNS, asked
from tools.features import Query, Role
from tools.find_title import TitleLinker
from tools.tokens import MENTIONS

ROLES: dict[str, Role] = {"user": "user", "agent": "agent", "assistant": "agent"}
WORST = 10  # malformed lines that are named


class QuestionsError(ParleyError):
    """The data is missing, or lines of it are malformed."""


class Question(NamedTuple):
    """``group``: the conversation, resampled whole; ``targets``: rows, None for a sure miss."""

    group: str
    query: Query
    targets: tuple[int | None, ...]


def from_redial(folder: Path, catalog: Catalog) -> list[Question]:
    """ReDial test: every recommender turn that newly names a film of the reference catalogue.

    3,965 (turn, film) pairs, whatever catalogue is used: see the module docstring.
    """
    rows = Rows(catalog)
    questions = []
    for dialogue in read(folder, "test"):
        for question in asked(dialogue, rows):
            targets = tuple(row for film, row in question.targets if film.tier == "catalog")
            if targets:
                questions.append(Question(dialogue.id, question.query, targets))
    return questions


def from_jsonl(path: Path, catalog: Catalog) -> list[Question]:
    """Lines ``{"context": [{"role", "text"}], "targets": [item ids]}``.

    Items are found in the context by their titles. Raises ``QuestionsError`` naming every
    malformed line (the first ten), so that no figure is printed for half a file.
    """
    if not path.is_file():
        raise QuestionsError(f"{path} is missing: --data names a JSON-lines file.")
    linker = TitleLinker(catalog)
    questions, bad = [], []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            questions.append(_question(json.loads(line), str(number), catalog, linker))
        except (ValueError, KeyError, TypeError) as error:
            bad.append(f"line {number}: {error}")
    if bad:
        more = f"\n… and {len(bad) - WORST} more" if len(bad) > WORST else ""
        shown = "\n".join(bad[:WORST])
        raise QuestionsError(
            f"{path} has {len(bad)} malformed lines:\n{shown}{more}\n"
            'Each must be {"context": [{"role": "user", "text": "…"}], "targets": ["id", …]}.'
        )
    if not questions:
        raise QuestionsError(f"{path} has no questions: give at least one line.")
    return questions


def _question(raw: Any, group: str, catalog: Catalog, linker: TitleLinker) -> Question:
    if not isinstance(raw, dict) or not {"context", "targets"} <= raw.keys():
        raise ValueError('an object with "context" and "targets" is needed')
    targets = raw["targets"]
    if not isinstance(targets, list) or not targets or not all(isinstance(t, str) for t in targets):
        raise ValueError('"targets" must be a list of at least one item id')
    if not isinstance(raw["context"], list):
        raise ValueError('"context" must be a list of turns')
    turns: list[tuple[Role, str]] = []
    bare: list[tuple[Role, str]] = []
    named: dict[Role, dict[int, None]] = {"user": {}, "agent": {}}
    slots: dict[int, str] = {}
    for turn in raw["context"]:
        if not isinstance(turn, dict) or turn.get("role") not in ROLES:
            raise ValueError(f"a turn's role must be one of {', '.join(ROLES)}")
        role, text = ROLES[turn["role"]], turn.get("text")
        if not isinstance(text, str):
            raise ValueError("a turn's text must be a string")
        plain = text
        links = [link for link in linker.link(text) if link.kind == "item"]
        for link in reversed(links):
            slots.setdefault(link.row, MENTIONS[min(len(slots), len(MENTIONS) - 1)])
            plain = plain[: link.start] + slots[link.row] + plain[link.end :]
        for link in links:
            named[role].pop(link.row, None)
            named[role][link.row] = None
        turns.append((role, text))
        bare.append((role, plain))
    query = Query(
        turns=tuple(turns[-KEPT_TURNS:]),
        delexicalised=tuple(bare[-KEPT_TURNS:]),
        liked=tuple(named["user"]),
        seen=tuple(row for row in named["agent"] if row not in named["user"]),
    )
    known = tuple(catalog.row(t) if catalog.has(t) else None for t in dict.fromkeys(targets))
    return Question(group, query, known)
