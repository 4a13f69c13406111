"""The judge that needs no endpoint: a small model of ours over ``evals.features``.

Two uses, kept apart. ``cross_validated`` fits on people's labels and scores only what was held
out (whole sessions, or whole systems): that says what such a judge can do, and its weights
are thrown away. The released judge (``judge_weights.json``) is fitted to simulated outcomes and
to spoilt copies of the same dialogues, labels of our own making; people's labels only check it.

    python -m evals.embedded_judge dialogues.jsonl ...   # fits and writes the released weights
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import typer
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, StratifiedGroupKFold

from agent.settings import Settings, stay_local
from catalog.errors import ParleyError
from evals.arena import ASPECTS, Labelled
from evals.dialogues import Dialogue, read_dialogues
from evals.features import NAMES, Describer, Exchange

WEIGHTS = Path(__file__).parent / "judge_weights.json"
FOLDS, REPEATS = 5, 3
Floats = npt.NDArray[np.float64]


class JudgeError(ParleyError):
    """The released judge's weights are missing or of another version."""


# --------------------------------------------------------------- fitted to people


def targets(labelled: Sequence[Labelled]) -> Floats:
    """What the cross-validated judge learns: aspects, relevance, sentiment, standardised.

    Shape ``(n, 9)``. Aspects say more about a dialogue than one bit does.
    """
    table = np.array(
        [[*(c.aspects[a] for a in ASPECTS), c.relevance, float(c.satisfied)] for c in labelled]
    )
    spread = table.std(0)
    result: Floats = (table - table.mean(0)) / np.where(spread > 0, spread, 1)
    return result


def cross_validated(
    x: Floats, labelled: Sequence[Labelled], by: str, seed: int = 0, trees: int = 300
) -> npt.NDArray[np.float64]:
    """Scores ``(n,)`` of held-out dialogues. ``by``: "dialogue" (sessions) or "system".

    The sum of the predicted overall aspect, twice the predicted sentiment and the mean of all,
    from ridge regression and extremely randomised trees in equal parts.
    """
    satisfied = np.array([c.satisfied for c in labelled])
    groups = np.array([c.group if by == "dialogue" else c.system for c in labelled])
    if by == "system":
        folds = list(LeaveOneGroupOut().split(x, satisfied, groups))
    else:
        folds = [
            fold
            for r in range(REPEATS)
            for fold in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed + r).split(
                x, satisfied, groups
            )
        ]
    scores, count = np.zeros(len(x)), np.zeros(len(x))
    for train, test in folds:
        known = [labelled[i] for i in train]
        mean, spread = x[train].mean(0), x[train].std(0)
        scale = np.where(spread > 0, spread, 1)
        a, b, t = (x[train] - mean) / scale, (x[test] - mean) / scale, targets(known)
        for model in (
            Ridge(300),
            ExtraTreesRegressor(trees, min_samples_leaf=3, random_state=seed, n_jobs=1),
        ):
            found = model.fit(a, t).predict(b)
            held = found[:, ASPECTS.index("dialogue_overall")] + 2 * found[:, -1] + found.mean(1)
            own = model.predict(a).std() or 1.0
            scores[test] += held / own
        count[test] += 1
    return scores / np.maximum(count, 1)


# --------------------------------------------------------------- the released judge


class Released(NamedTuple):
    """Logistic regression on standardised features. Arrays ``(len(NAMES),)``."""

    mean: Floats
    scale: Floats
    weights: Floats
    bias: float
    trained_on: str

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Released:
        """``JudgeError`` when the file is missing or names other features."""
        try:
            raw = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise JudgeError(
                f"{path} cannot be read ({error}): restore it from the repository, or make it with "
                "`python -m evals.embedded_judge DIALOGUES`."
            ) from error
        if raw.get("features") != list(NAMES):
            raise JudgeError(f"{path} was fitted to other features: fit it anew.")
        mean, scale, weights = (
            np.array(raw[k], dtype=np.float64) for k in ("mean", "scale", "weights")
        )
        return cls(mean, scale, weights, float(raw["bias"]), str(raw["trained_on"]))

    def score(self, features: npt.NDArray[Any]) -> float:
        """Probability that the person was satisfied, 0..1."""
        z = float(((features - self.mean) / self.scale).clip(-4, 4) @ self.weights + self.bias)
        return float(1 / (1 + np.exp(-z)))


def exchanges(dialogue: Dialogue) -> tuple[Exchange, ...]:
    """A dialogue as a judge reads it: words only."""
    return tuple(Exchange(t.role, t.text) for t in dialogue.turns)


COMPLAINTS = (
    "that is not what I asked", "no", "ok bye", "can you recommend something?", "what?", "hello??",
    "you are not listening", "that makes no sense", "again?", "forget it",
)  # fmt: skip
EVASIONS = (
    "I have not seen that one.", "Hello! How are you?", "I like it too.", "Sure.",
    "I am not sure what you mean.", "It is a good one.", "Have you seen it?", "Okay, bye!",
    "What do you think of it?", "I don't know that one, sorry.",
)  # fmt: skip


def spoil(
    talk: Sequence[Exchange], others: Sequence[Sequence[Exchange]], rng: random.Random
) -> tuple[Exchange, ...]:
    """A bad system in place of ours: evasions, someone else's replies, the same again, stutter."""
    strange = [e.text for e in rng.choice(others) if e.role == "agent"] or ["Sure."]
    kind, first = rng.randrange(5), next((e.text for e in talk if e.role == "agent"), "Sure.")
    out = []
    for k, exchange in enumerate(talk):
        if exchange.role == "user":
            out.append(exchange)
            continue
        if kind == 0:
            text = rng.choice(EVASIONS)
        elif kind == 1:
            text = strange[k // 2 % len(strange)]
        elif kind == 2:
            text = first
        elif kind == 3:
            words = exchange.text.split()
            text = " ".join(w for x in words[:12] for w in [x] * rng.choice([1, 1, 2, 3]))
        else:
            text = exchange.text.split("\n")[0] if rng.random() < 0.5 else rng.choice(EVASIONS)
        out.append(Exchange("agent", text))
    # A person who was served like this does not end with thanks.
    last = rng.choice(COMPLAINTS)
    if len(out) > 1 and out[-2].role == "user" and rng.random() < 0.8:
        out[-2] = Exchange("user", last)
    return tuple(out[: rng.randint(2, max(2, len(out)))])


def own_labels(
    dialogues: Sequence[Dialogue], seed: int = 0
) -> tuple[list[tuple[Exchange, ...]], list[bool], list[str]]:
    """Simulated dialogues and a spoilt copy of each: conversations, good or not, goal ids.

    The last exchange (choice and farewell) is left out half of the time, so that the judge
    cannot live on the words of acceptance alone.
    """
    rng = random.Random(seed)
    talks, good, groups = [], [], []
    whole = [exchanges(d) for d in dialogues]
    for dialogue, talk in zip(dialogues, whole, strict=True):
        kept = talk[:-2] if len(talk) > 2 and rng.random() < 0.5 else talk
        talks += [kept, spoil(talk, whole, rng)]
        good += [dialogue.outcome.success and not dialogue.outcome.frustrated, False]
        groups += [dialogue.goal.id] * 2
    return talks, good, groups


def fit(x: Floats, good: Sequence[bool], trained_on: str) -> Released:
    """Ridge-penalised logistic regression, classes weighed alike."""
    mean, spread = x.mean(0), x.std(0)
    scale = np.where(spread > 1e-6, spread, 1.0)
    model = LogisticRegression(C=0.02, max_iter=3000, class_weight="balanced")
    model.fit((x - mean) / scale, np.asarray(good))
    return Released(mean, scale, model.coef_[0], float(model.intercept_[0]), trained_on)


def held_out_auc(x: Floats, good: Sequence[bool], groups: Sequence[str]) -> float:
    """AUC on goals not trained on, five folds."""
    scores, y = np.zeros(len(x)), np.asarray(good)
    for train, test in GroupKFold(5).split(x, y, groups):
        judge = fit(x[train], y[train].tolist(), "")
        scores[test] = [judge.score(row) for row in x[test]]
    return float(roc_auc_score(y, scores))


app = typer.Typer(add_completion=False)


@app.command()
def main(
    dialogues: Annotated[list[Path], typer.Argument(help="Simulated dialogues (JSON lines).")],
    out: Annotated[Path, typer.Option(help="Where the weights go.")] = WEIGHTS,
    allow_bad: Annotated[bool, typer.Option(help="Leave malformed lines out.")] = False,
) -> None:
    """Fit the released judge to simulated outcomes and spoilt copies."""
    stay_local()
    try:
        loaded = [
            d for path in dialogues for d in read_dialogues(path, allow_bad=allow_bad).dialogues
        ]
        talks, good, groups = own_labels(loaded)
        describer = Describer.open(Settings.load())
        x = np.stack([describer.describe(t) for t in talks]).astype(np.float64)
        auc = held_out_auc(x, good, groups)
        name = f"{len(loaded)} simulated dialogues and a spoilt copy of each"
        judge = fit(x, good, name)
    except ParleyError as error:
        typer.echo(f"embedded_judge: {error}", err=True)
        raise typer.Exit(2) from error
    record = {
        "features": list(NAMES),
        **{
            k: [round(float(v), 6) for v in getattr(judge, k)] for k in ("mean", "scale", "weights")
        },
        "bias": round(judge.bias, 6),
        "trained_on": name,
    }
    out.write_text(json.dumps(record) + "\n", "utf-8")
    print(json.dumps({"dialogues": len(loaded), "held_out_auc": round(auc, 4), "out": str(out)}))


if __name__ == "__main__":
    app()
