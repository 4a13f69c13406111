"""Simulated dialogues -> rows for fine-tuning: what went well is said and chosen again.

A line of ``python -m evals.simulate`` holds everything a row needs: each slate with the query
it was chosen from (``asked``), each sentence with its brief (the trace's ``verdicts``). From the
conversations kept (how they ended, what a judge said of them) come

* slate rows: the item that the person chose in the end is the target of every slate from which it
  might have been chosen, with the retrieval prior of that moment beside it;
* reply rows: every draft that passed the verifier at once, on its brief.

The two rooms meet in the file alone: nothing of ``evals`` is imported.

    python -m training.sft --model models/parley-small --dialogues dialogues.jsonl \\
        --catalog catalog/data/movies --outcomes accepted --verdicts verdicts.jsonl \\
        --min-judge 3.5 --out DIR --minutes 10
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

import numpy as np
from pydantic import BaseModel, Field, ValidationError
from transformers import PreTrainedTokenizerFast

from agent.state import Turn
from agent.talker import Brief, small_prompt
from catalog.embed import Embedder
from catalog.errors import ParleyError
from catalog.filters import Clause, compile
from catalog.items import Catalog
from tools.candidates import RANKER, Candidates
from tools.features import Query, Role, Wanted
from tools.slate_prompt import SlatePrompts
from tools.tokens import EOS
from training.make_slate_rows import Book, Maker, Sample
from training.sft_data import MAX_LENGTH, Task, TextRow

ENDS: Final = ("accepted", "gave_up", "out_of_turns", "crashed")
WORST: Final = 10  # malformed lines that are named
HELD_OUT: Final = 10  # one goal in so many validates


class DialogueRowsError(ParleyError):
    """A file of dialogues or verdicts is missing or malformed, or nothing of it is left."""


class Asked(BaseModel):
    """What a slate was chosen from, in item ids; as ``evals.simulate`` writes it."""

    turn: int = Field(ge=0)
    turns: tuple[tuple[Role, str], ...] = ()
    delexicalised: tuple[tuple[Role, str], ...] = ()
    liked: tuple[str, ...] = ()
    disliked: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    wishes: tuple[tuple[str, int, str | None], ...] = ()
    clauses: tuple[Clause, ...] = ()
    excluded: tuple[str, ...] = ()


class Ended(BaseModel):
    """How it ended; ``success``: what was chosen satisfies the person's goal."""

    end: str
    success: bool = False
    accepted: str | None = None


class Aim(BaseModel):
    """The goal's name: what is held out is held out by goal."""

    id: str


class Spoken(BaseModel):
    """The part of a dialogue that rows are made of."""

    id: str
    goal: Aim
    turns: tuple[Turn, ...]
    asked: tuple[Asked, ...] = ()
    outcome: Ended

    @property
    def held(self) -> bool:
        return crc32(self.goal.id.encode()) % HELD_OUT == 0


class Filter(NamedTuple):
    """Which dialogues teach. ``outcomes``: how they ended, or "success"; ``min_judge``: least mean
    score by ``verdicts`` (the --out file of ``evals.judge``)."""

    outcomes: tuple[str, ...] = ("accepted",)
    min_judge: float | None = None
    verdicts: Path | None = None

    def check(self) -> None:
        """``DialogueRowsError`` for an unknown outcome or a score without its file."""
        known = (*ENDS, "success")
        unknown = [o for o in self.outcomes if o not in known]
        if unknown:
            raise DialogueRowsError(f"--outcomes {unknown[0]!r}: there are {', '.join(known)}.")
        if self.min_judge is not None and self.verdicts is None:
            raise DialogueRowsError(
                f"--min-judge {self.min_judge:g} needs --verdicts FILE, made by "
                "`python -m evals.judge DIALOGUES --out FILE`."
            )


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """(line number, object or what is wrong); blank lines are skipped."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise DialogueRowsError(
            f"{path} cannot be read ({error}): give a JSON-lines file."
        ) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
        except ValueError as error:
            yield number, f"line {number}: not JSON ({error})"
            continue
        yield number, raw if isinstance(raw, dict) else f"line {number}: not a JSON object"


def read(paths: Sequence[Path], *, allow_bad: bool = False) -> list[Spoken]:
    """Every dialogue of the files.

    Raises ``DialogueRowsError``: malformed lines, named and counted, unless ``allow_bad``.
    """
    found: list[Spoken] = []
    for path in paths:
        bad: list[str] = []
        for number, raw in _objects(path):
            if isinstance(raw, str):
                bad.append(raw)
                continue
            try:
                found.append(Spoken.model_validate(raw))
            except ValidationError as error:
                fault = error.errors()[0]
                where = ".".join(map(str, fault["loc"]))
                bad.append(f"line {number}: {where}: {fault['msg']}"[:200])
        if bad and not allow_bad:
            raise DialogueRowsError(
                f"{path} has {len(bad)} malformed lines:\n"
                + "\n".join(bad[:WORST])
                + "\nMend them, or leave them out with --allow-bad."
            )
    return found


def scores(path: Path) -> dict[str, float]:
    """Dialogue id -> its mean score over the rubrics; refusals and parse failures are none."""
    held: dict[str, list[float]] = {}
    for number, raw in _objects(path):
        if isinstance(raw, str) or not {"id", "status", "value"} <= raw.keys():
            raise DialogueRowsError(
                f"{path}, line {number} is no verdict: give the --out file of evals.judge."
            )
        if raw["status"] == "ok" and isinstance(raw["value"], int | float):
            held.setdefault(str(raw["id"]), []).append(float(raw["value"]))
    return {name: sum(values) / len(values) for name, values in held.items()}


def kept(dialogues: Sequence[Spoken], choose: Filter) -> list[Spoken]:
    """Those that the filter lets through. ``DialogueRowsError`` when none is left."""
    choose.check()
    judged = scores(choose.verdicts) if choose.verdicts else {}
    least = -np.inf if choose.min_judge is None else choose.min_judge
    left = [
        d
        for d in dialogues
        if (
            d.outcome.end in choose.outcomes or ("success" in choose.outcomes and d.outcome.success)
        )
        and (choose.min_judge is None or judged.get(d.id, -np.inf) >= least)
    ]
    if not left:
        raise DialogueRowsError(
            f"None of {len(dialogues)} dialogues ended as {', '.join(choose.outcomes)}"
            + (f" with a score of {least:g} or more" if choose.min_judge is not None else "")
            + ": ask for less, or simulate more."
        )
    return left


def reply_rows(dialogues: Iterable[Spoken], tokenizer: PreTrainedTokenizerFast) -> list[TextRow]:
    """Drafts that passed at once, each different pair of prompt and sentence once."""
    pairs: dict[tuple[str, str], None] = {}
    for dialogue in dialogues:
        for turn in dialogue.turns:
            for v in turn.trace.verdicts if turn.trace else ():
                if v.get("ok") and v.get("by") == "llm" and "slots" in v:
                    brief = Brief(
                        act=v["act"], ties=v["ties"], slots=v["slots"], said=v.get("said", "")
                    )
                    pairs[small_prompt(brief), str(v["draft"])] = None
    rows = []
    for prompt, said in pairs:
        start = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        end = tokenizer(said + EOS, add_special_tokens=False)["input_ids"]
        row = TextRow(np.array(start + end, dtype=np.int64), len(start))
        if row.length <= MAX_LENGTH:
            rows.append(row)
    return rows


def query_of(asked: Asked, catalog: Catalog) -> Query:
    """The query in rows of this catalogue; ids that it does not know are left out."""

    def rows(ids: Sequence[str]) -> tuple[int, ...]:
        return tuple(catalog.row(i) for i in ids if catalog.has(i))

    return Query(
        turns=asked.turns,
        delexicalised=asked.delexicalised,
        liked=rows(asked.liked),
        disliked=rows(asked.disliked),
        seen=rows(asked.seen),
        anchors=rows(asked.anchors),
        about=asked.about,
        wishes=tuple(
            Wanted(s, d, catalog.row(i) if i and catalog.has(i) else None)
            for s, d, i in asked.wishes
        ),
    )


def samples(dialogues: Iterable[Spoken], candidates: Candidates) -> Iterator[Sample]:
    """One a slate from which the item that was chosen in the end might have come."""
    catalog = candidates.catalog
    for dialogue in dialogues:
        chosen = dialogue.outcome.accepted
        if chosen is None or not catalog.has(chosen):
            continue
        target = catalog.row(chosen)
        for asked in dialogue.asked:
            allowed = compile(catalog, asked.clauses)
            allowed[[catalog.row(i) for i in asked.excluded if catalog.has(i)]] = False
            if not allowed[target]:
                continue
            query = query_of(asked, catalog)
            prior = candidates.weights(query, allowed)
            vector = candidates.features.vector(query.text())
            yield Sample("dialogues", query, vector, prior, (target,), dialogue.held)


def tasks(
    dialogues: Sequence[Spoken],
    catalog: Catalog,
    tokenizer: PreTrainedTokenizerFast,
    *,
    ranker: Path = RANKER,
    weight: float = 0.5,
    copies: int = 2,
    seed: int = 0,
) -> list[Task]:
    """The two tasks; ``weight`` is both together. ``DialogueRowsError`` when there is no row.

    ``copies``: rows a slate, each with other likely items before the target.
    """
    candidates = Candidates.open(catalog, Embedder(), ranker)
    maker = Maker(SlatePrompts(tokenizer), [Book.of(catalog.codebooks, catalog.codes)], seed)
    train, valid = [], []
    for sample in samples(dialogues, candidates):
        taste = candidates.features.taste(sample.query)
        if sample.held:
            valid.append(maker.row(sample, taste, plain=True))
        else:
            train += [maker.row(sample, taste) for _ in range(copies)]
    replies = (
        reply_rows([d for d in dialogues if not d.held], tokenizer),
        reply_rows([d for d in dialogues if d.held], tokenizer),
    )
    made = [
        Task("dialogue slates", weight / 2, train, valid),
        Task("dialogue replies", weight / 2, *replies),
    ]
    made = [task for task in made if len(task.train)]
    if not made:
        raise DialogueRowsError(
            f"{len(dialogues)} dialogues hold no row to train on: they were written by a version "
            "that kept neither `asked` nor briefs. Simulate them again."
        )
    return made
