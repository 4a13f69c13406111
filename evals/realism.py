"""How much like people the simulated people are: measured, not assumed.

    python -m evals.realism dialogues.jsonl --data DIR  [--arena crs_arena_dev.jsonl.gz]

``--data`` holds ``redial/redial_test.jsonl.gz`` and ``lm/{laps,ccpe}.jsonl.gz``. Of each set: words
a turn and turns a dialogue of the person's side, what the turns do (the understander's intents),
how far the simulated distribution is (Jensen-Shannon, 0 the same, 1 disjoint), and the AUC
of a classifier that tells real from simulated conversations by the person's side (.5: it cannot).
Frustration: share of simulated people who end frustrated, beside real ones of ``--arena``. The
last line is JSON.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table
from scipy.spatial.distance import jensenshannon
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from agent.settings import Settings, stay_local
from catalog.embed import Embedder
from catalog.errors import ParleyError
from evals.arena import read_arena
from evals.calibrate import auc, band
from evals.dialogues import read_dialogues
from evals.human_turns import rows
from evals.outcomes import Figure, interval
from tools.turn_encoder import INTENTS, TurnEncoder

WORDS = (0, 1, 2, 4, 6, 9, 13, 20, 35, 1000)  # bins of words a turn
TURNS = (0, 1, 2, 3, 4, 5, 7, 10, 15, 1000)  # bins of user turns a dialogue
MARKER = re.compile(r"@\d+")
Floats = npt.NDArray[np.float64]


class Talk(NamedTuple):
    """The person's side of one conversation."""

    id: str
    turns: tuple[str, ...]


def from_redial(path: Path) -> Iterator[Talk]:
    """The seeker's side; a film marker becomes "a film" so that it gives nothing away."""
    for number, row in enumerate(rows(path)):
        seeker = row.get("initiatorWorkerId")
        said = [
            MARKER.sub("that one", m["text"])
            for m in row["messages"]
            if m["senderWorkerId"] == seeker and m["text"].strip()
        ]
        if said:
            yield Talk(f"redial-{number}", tuple(said))


def from_corpus(path: Path, domain: str | None = None) -> Iterator[Talk]:
    """The user's side of a dialogue corpus (LAPS, CCPE)."""
    for row in rows(path):
        if domain is not None and row.get("domain") != domain:
            continue
        said = [t["text"] for t in row["turns"] if t["role"] == "user" and t["text"].strip()]
        if said:
            yield Talk(row["dialogue_id"], tuple(said))


def histogram(values: Sequence[float], bins: Sequence[int]) -> Floats:
    """Shares of the bins ``[bins[k], bins[k+1])``."""
    counts, _ = np.histogram(values, bins)
    shares: Floats = counts / max(counts.sum(), 1)
    return shares


def divergence(a: Floats, b: Floats) -> float:
    """Jensen-Shannon divergence in bits."""
    return float(jensenshannon(a, b, base=2) ** 2)


def doings(talks: Sequence[Talk], encoder: TurnEncoder, limit: int = 1500) -> Floats:
    """Shares of the intents over at most ``limit`` turns, mean probability. ``(17,)``."""
    pairs = [("none" if k == 0 else "shown", t) for talk in talks for k, t in enumerate(talk.turns)]
    random.Random(0).shuffle(pairs)
    total = np.zeros(len(INTENTS))
    for context, text in pairs[:limit]:
        intents, _ = encoder.read(context, text[:400])
        total += [intents[i] for i in INTENTS]
    shares: Floats = total / max(total.sum(), 1e-9)
    return shares


def told_apart(real: Sequence[Talk], simulated: Sequence[Talk], seed: int = 0) -> Figure:
    """AUC of a classifier on words and character pieces of the person's side, five folds.

    Equal numbers of both; titles and numbers are blotted out, as they give the set away.
    """
    rng = random.Random(seed)
    n = min(len(real), len(simulated), 400)
    if n < 10:
        raise ParleyError(f"Only {n} conversations on one side: the classifier needs at least 10.")
    texts = [_blotted(t) for t in [*rng.sample(list(real), n), *rng.sample(list(simulated), n)]]
    label = np.array([True] * n + [False] * n)
    scores = np.zeros(2 * n)
    for train, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(texts, label):
        vector = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(1, 4), min_df=3, sublinear_tf=True, lowercase=False
        )
        a = vector.fit_transform([texts[i] for i in train])
        model = LogisticRegression(C=10, max_iter=1000).fit(a, label[train])
        scores[test] = model.decision_function(vector.transform([texts[i] for i in test]))
    draws = np.random.default_rng(seed).integers(0, 2 * n, (1000, 2 * n))
    low, high = band([auc(scores[d], label[d]) for d in draws])
    return Figure(auc(scores, label), low, high, 2 * n)


def _blotted(talk: Talk) -> str:
    text = " | ".join(talk.turns)
    text = re.sub(r"\d+", "9", text)
    return re.sub(r"\b(?:[A-Z][\w'’:-]+ ){1,6}[A-Z][\w'’-]+", "Name", text)


def describe(talks: Sequence[Talk], encoder: TurnEncoder) -> dict[str, Any]:
    """Lengths, counts and intents of one set."""
    words = [len(t.split()) for talk in talks for t in talk.turns]
    counts = [len(talk.turns) for talk in talks]
    owners = [talk.id for talk in talks for _ in talk.turns]
    return {
        "dialogues": len(talks),
        "words a turn": interval(words, owners),
        "user turns": interval(counts, [t.id for t in talks]),
        "words": histogram(words, WORDS),
        "turns": histogram(counts, TURNS),
        "intents": doings(talks, encoder),
    }


app = typer.Typer(add_completion=False)


@app.command()
def main(
    dialogues: Annotated[Path, typer.Argument(help="Simulated dialogues (JSON lines).")],
    data: Annotated[Path, typer.Option(help="Folder with redial/ and lm/.")],
    arena: Annotated[Path | None, typer.Option(help="CRSArena's labelled dialogues.")] = None,
    limit: Annotated[int, typer.Option(min=10, help="Real dialogues a set.")] = 600,
    allow_bad: Annotated[bool, typer.Option(help="Leave malformed lines out.")] = False,
) -> None:
    """Print how the simulated people differ from real ones."""
    stay_local()
    try:
        loaded = read_dialogues(dialogues, allow_bad=allow_bad).dialogues
        simulated = [Talk(d.id, tuple(t.text for t in d.user_turns())) for d in loaded]
        sets = {
            "redial": list(from_redial(data / "redial" / "redial_test.jsonl.gz")),
            "laps": list(from_corpus(data / "lm" / "laps.jsonl.gz", "movie")),
            "ccpe": list(from_corpus(data / "lm" / "ccpe.jsonl.gz")),
        }
        encoder = TurnEncoder.load(Settings.load().model / "understander", Embedder(threads=1))
        mine = describe(simulated, encoder)
        result: dict[str, Any] = {"simulated": _plain(mine)}
        table = Table("", "words a turn", "user turns", "JSD words", "JSD turns", "JSD acts", "AUC")
        table.add_row("simulated", *_two(mine), "", "", "", "")
        for name, talks in sets.items():
            random.Random(0).shuffle(talks)
            theirs = describe(talks[:limit], encoder)
            apart = told_apart(talks, simulated)
            gaps = {
                k: round(divergence(mine[k], theirs[k]), 4) for k in ("words", "turns", "intents")
            }
            result[name] = {**_plain(theirs), "divergence": gaps, "auc": _listed(apart)}
            table.add_row(
                name, *_two(theirs), *(f"{v:.3f}" for v in gaps.values()),
                f"{apart.mean:.3f} ({apart.low:.3f} … {apart.high:.3f})",
            )  # fmt: skip
        sad = interval([float(d.outcome.frustrated) for d in loaded], [d.goal.id for d in loaded])
        result["frustrated"] = {"simulated": _listed(sad)}
        if arena is not None:
            people = read_arena(arena)
            share = interval([float(not p.satisfied) for p in people], [p.group for p in people])
            result["frustrated"]["arena"] = _listed(share)
        result["ends"] = dict(Counter(d.outcome.end for d in loaded))
    except ParleyError as error:
        typer.echo(f"realism: {error}", err=True)
        raise typer.Exit(2) from error
    Console(width=130).print(table)
    print(json.dumps(result))


def _listed(figure: Figure) -> list[float]:
    return [round(v, 4) for v in figure]


def _two(described: dict[str, Any]) -> list[str]:
    return [f"{described[k].mean:.1f}" for k in ("words a turn", "user turns")]


def _plain(described: dict[str, Any]) -> dict[str, Any]:
    """Figures and shares as numbers for JSON; intents that hardly occur are left out."""
    intents = {i: round(float(s), 3) for i, s in zip(INTENTS, described["intents"], strict=True)}
    return {
        "dialogues": described["dialogues"],
        "words a turn": _listed(described["words a turn"]),
        "user turns": _listed(described["user turns"]),
        "intents": {k: v for k, v in intents.items() if v >= 0.01},
    }


if __name__ == "__main__":
    app()
