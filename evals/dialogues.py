"""A simulated dialogue and the JSON-lines file it lives in.

One line a dialogue: who spoke (persona), what they were after (goal), every ``Turn`` with its
full trace, how it ended, and the seed that makes it again. The same file is judged,
reported, compared and trained on, so reading it names and counts every malformed line.

    loaded = read_dialogues(Path("dialogues.jsonl"))
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.state import Frozen, Turn, Wish
from catalog.errors import ParleyError
from catalog.filters import Clause

WORST = 10  # malformed lines that are named

Verbosity = Literal["terse", "plain", "chatty"]
Decision = Literal["first", "careful", "explorer", "comparer"]
End = Literal["accepted", "gave_up", "out_of_turns", "crashed"]


class DialoguesError(ParleyError):
    """A file of dialogues is missing, empty or malformed."""


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Persona(Strict):
    """How a person behaves; see ``evals/personas/people.yaml``. Shares are 0..1."""

    name: str = Field(min_length=1)
    weight: float = Field(1.0, gt=0)
    patience: float = Field(gt=0, le=20)
    verbosity: Verbosity = "plain"
    knowledge: float = Field(0.2, ge=0, le=1)
    decision: Decision = "first"
    disclosure: float = Field(0.5, ge=0, le=1)
    typos: float = Field(0.05, ge=0, le=1)
    changes_mind: float = Field(0.1, ge=0, le=1)
    small_talk: float = Field(0.0, ge=0, le=1)
    politeness: float = Field(0.2, ge=0, le=1)


class Goal(Frozen):
    """What a person is after: clauses and soft wishes, never an item.

    ``clauses``: what must hold of the item in the end; ``dropped``: said and later taken back;
    ``likes``: titles they may name, all of them outside the answer; ``matches``: how many items
    satisfy ``clauses`` (for the report: the simulator never reads it).
    """

    id: str
    clauses: tuple[Clause, ...]
    wishes: tuple[Wish, ...] = ()
    about: tuple[str, ...] = ()
    likes: tuple[str, ...] = ()
    dropped: Clause | None = None
    matches: int = 0


class Outcome(Frozen):
    """How a dialogue ended. ``success``: the accepted item satisfies every clause of the goal.

    ``turn``: user turns so far when it ended; ``first_hit``: the 1-based agent turn whose slate
    first held a satisfying item; ``frustration``: points of annoyance against the persona's
    patience; ``frustrated``: gave up, ran out of turns, or bore more than half of what they can.
    ``kept``: share of a golden conversation's expectations that were met.
    """

    end: End
    success: bool
    accepted: str | None = None
    turn: int = 0
    first_hit: int | None = None
    frustration: float = 0.0
    frustrated: bool = False
    kept: float | None = None
    note: str = ""


class Asked(Frozen):
    """What a slate was chosen from, in item ids, so that the choice can be trained on.

    ``turn``: the agent turn's place among the agent's turns; ``excluded``: shown or named before,
    so that the slate could not hold them; the rest as in ``tools.features.Query``.
    """

    turn: int
    turns: tuple[tuple[str, str], ...] = ()
    delexicalised: tuple[tuple[str, str], ...] = ()
    liked: tuple[str, ...] = ()
    disliked: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    wishes: tuple[tuple[str, int, str | None], ...] = ()
    clauses: tuple[Clause, ...] = ()
    excluded: tuple[str, ...] = ()


class Dialogue(Frozen):
    """One finished conversation. ``allowed``: items the believed clauses admit, an agent turn."""

    id: str
    run: str  #: what the whole file was made with: seed, engine, catalogue, agent
    index: int
    trial: int = 0
    seed: int
    engine: str
    persona: Persona
    goal: Goal
    turns: tuple[Turn, ...]
    allowed: tuple[int, ...] = ()
    asked: tuple[Asked, ...] = ()
    outcome: Outcome

    def agent_turns(self) -> list[Turn]:
        return [t for t in self.turns if t.role == "agent"]

    def user_turns(self) -> list[Turn]:
        return [t for t in self.turns if t.role == "user"]


class Loaded(NamedTuple):
    """Dialogues of a file and the malformed lines: "line 3: what is wrong"."""

    dialogues: list[Dialogue]
    bad: list[str]


def lines_of(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """(line number, object or what is wrong with the line); blank lines are skipped."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise DialoguesError(f"{path} cannot be read ({error}): give a JSON-lines file.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
        except ValueError as error:
            yield number, f"line {number}: not JSON ({error})"
            continue
        if not isinstance(raw, dict):
            yield number, f"line {number}: a JSON object is needed, not {type(raw).__name__}"
            continue
        yield number, raw


def refuse_bad(path: Path, bad: list[str], allow_bad: bool) -> None:
    """``DialoguesError`` naming and counting the malformed lines, unless they are allowed."""
    if bad and not allow_bad:
        more = f"\n… and {len(bad) - WORST} more" if len(bad) > WORST else ""
        raise DialoguesError(
            f"{path} has {len(bad)} malformed line{'s' if len(bad) > 1 else ''}:\n"
            + "\n".join(bad[:WORST])
            + f"{more}\nMend them, or leave them out with --allow-bad."
        )


def first_fault(error: ValidationError) -> str:
    """Where a line is wrong and what is wrong there, in a few words."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    return f"{where}: {fault['msg']}"[:200]


def read_dialogues(path: Path, *, allow_bad: bool = False) -> Loaded:
    """Every dialogue of a file.

    Raises ``DialoguesError``: no such file, malformed lines (named and counted; with
    ``allow_bad`` they are returned instead), or no dialogue at all.
    """
    dialogues, bad = [], []
    for number, raw in lines_of(path):
        if isinstance(raw, str):
            bad.append(raw)
            continue
        try:
            dialogues.append(Dialogue.model_validate(raw))
        except ValidationError as error:
            bad.append(f"line {number}: {first_fault(error)}")
    refuse_bad(path, bad, allow_bad)
    if not dialogues:
        raise DialoguesError(
            f"{path} holds no dialogues: write some with `python -m evals.simulate --out {path}`."
        )
    return Loaded(dialogues, bad)
