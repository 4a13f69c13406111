"""Hold a judge against people: AUC, Spearman and kappa on dialogues they labelled.

    python -m evals.calibrate --data crs_arena_dev.jsonl.gz                    # cross-validated
    python -m evals.calibrate --data FILE --judge released
    python -m evals.calibrate --data FILE --judge http://HOST/v1 --judge-model NAME

Beside each figure stands the cheap baseline, mean reply length, and the paired difference on
the same bootstrap draws (sessions resampled whole). Answers that are no score are counted as
parse failures and left out of the judge's figures. The last line is JSON: ``{"auc", "auc_ci",
"length_auc", "difference_ci", "spearman", "n", "parse_failures"}`` and more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from scipy.stats import rankdata

from agent.settings import Settings, stay_local
from catalog.errors import ParleyError
from evals.arena import Labelled, read_arena
from evals.embedded_judge import Released, cross_validated
from evals.features import Describer
from evals.judge import absolute, open_judge
from evals.judges import Cache
from evals.rubric import read_rubric

RESAMPLES = 2000
Floats = npt.NDArray[np.float64]


def auc(scores: Floats, good: npt.NDArray[np.bool_]) -> float:
    """Chance that a satisfied dialogue scores above a frustrated one; ties count half.

    Mann-Whitney; nan when one side is empty.
    """
    n, m = int(good.sum()), int((~good).sum())
    if not n or not m:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[good].sum() - n * (n + 1) / 2) / (n * m))


def spearman(a: Floats, b: Floats) -> float:
    """Rank correlation; 0 when either side is constant."""
    x, y = rankdata(a), rankdata(b)
    if x.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def kappa(scores: Floats, good: npt.NDArray[np.bool_]) -> float:
    """Cohen's kappa with as many called satisfied as people did (the threshold is theirs)."""
    called = np.zeros(len(scores), dtype=bool)
    called[np.argsort(-scores, kind="stable")[: int(good.sum())]] = True
    agree, share = float((called == good).mean()), float(good.mean())
    chance = share**2 + (1 - share) ** 2  # both sides call the same share satisfied
    return (agree - chance) / (1 - chance) if chance < 1 else 0.0


def draws(
    groups: Sequence[str], seed: int = 0, resamples: int = RESAMPLES
) -> list[npt.NDArray[np.int64]]:
    """``resamples`` samples of rows with whole groups drawn with replacement."""
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(place == g) for g in range(int(place.max()) + 1)]
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([members[g] for g in rng.integers(0, len(members), len(members))])
        for _ in range(resamples)
    ]


def band(values: Sequence[float]) -> tuple[float, float]:
    """The middle 95 %, undefined draws left out."""
    low, high = np.nanquantile(np.asarray(values), (0.025, 0.975))
    return round(float(low), 4), round(float(high), 4)


def calibrate(
    scores: Floats, labelled: Sequence[Labelled], seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """The figures. ``scores`` ``(n,)``, nan where the judge gave none."""
    ok = np.isfinite(scores)
    kept = [c for c, o in zip(labelled, ok, strict=True) if o]
    if len({c.satisfied for c in kept}) < 2:
        raise ParleyError(
            f"The judge scored {len(kept)} of {len(labelled)} dialogues, too few to compare: "
            "see its answers with --cache."
        )
    s = scores[ok]
    good = np.array([c.satisfied for c in kept])
    length = np.array([c.length for c in kept])
    human = np.array([c.aspects["dialogue_overall"] for c in kept])
    samples = draws([c.group for c in kept], seed, resamples)
    own = [auc(s[i], good[i]) for i in samples]
    base = [auc(length[i], good[i]) for i in samples]
    difference = band([a - b for a, b in zip(own, base, strict=True)])
    return {
        "auc": round(auc(s, good), 4),
        "auc_ci": band(own),
        "length_auc": round(auc(length, good), 4),
        "difference_ci": difference,
        "spearman": round(spearman(s, human), 4),
        "spearman_ci": band([spearman(s[i], human[i]) for i in samples]),
        "kappa": round(kappa(s, good), 4),
        "kappa_ci": band([kappa(s[i], good[i]) for i in samples[:500]]),
        "human_auc": round(auc(human, good), 4),
        "n": len(kept),
        "satisfied": int(good.sum()),
        "parse_failures": int((~ok).sum()),
        "beats_length": difference[0] > 0,
    }


app = typer.Typer(add_completion=False)


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="Labelled dialogues, CRSArena's format.")],
    judge: Annotated[
        str, typer.Option(help="cross-validated, released, or an endpoint's URL.")
    ] = "cross-validated",
    judge_model: Annotated[str | None, typer.Option(help="The model's name there.")] = None,
    by: Annotated[
        str, typer.Option(help="Hold out whole: dialogue (sessions) or system.")
    ] = "dialogue",
    rubric: Annotated[str, typer.Option(help="For an endpoint.")] = "overall",
    cache: Annotated[Path | None, typer.Option(help="Verdicts kept between runs.")] = None,
    allow_bad: Annotated[bool, typer.Option(help="Leave malformed lines out.")] = False,
) -> None:
    """Print how well a judge agrees with people."""
    stay_local()
    try:
        if by not in ("dialogue", "system"):
            raise ParleyError(f"--by {by!r}: use dialogue or system.")
        labelled = read_arena(data, allow_bad=allow_bad)
        settings = Settings.load()
        if judge in ("cross-validated", "released"):
            describer = Describer.open(settings)
            x = np.stack([describer.describe(c.exchanges) for c in labelled]).astype(np.float64)
            if judge == "released":
                scores = np.array([Released.load().score(row) for row in x])
            else:
                scores = cross_validated(x, labelled, by)
        else:
            verdicts = absolute(
                open_judge(judge, judge_model, settings),
                read_rubric(rubric),
                [c.exchanges for c in labelled],
                Cache(cache),
            )
            scores = np.array([np.nan if v.value is None else float(v.value) for v in verdicts])
        result = calibrate(scores, labelled)
    except ParleyError as error:
        typer.echo(f"calibrate: {error}", err=True)
        raise typer.Exit(2) from error
    if not result["beats_length"]:
        typer.echo(
            "WARNING: this judge is not shown to beat mean reply length (95 % interval of the "
            f"difference in AUC: {result['difference_ci']}). Say so wherever its scores are used.",
            err=True,
        )
    print(json.dumps({"judge": judge, "by": by if judge == "cross-validated" else None, **result}))


if __name__ == "__main__":
    app()
