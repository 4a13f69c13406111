"""Is B worse than A? A gate for a regression, paired goal by goal.

    python -m evals.compare before.jsonl after.jsonl [--metric success --metric frustrated]

Both files are made with the same ``--seed`` and ``--trials``, so that each dialogue has its
counterpart. A metric is worse when the 95 % paired interval of the difference lies wholly on
the bad side; then the exit status is 1. Things that must never happen (items outside the
catalogue, crashes, repeated items) are worse with the first that is new. Last line: JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from agent.settings import Settings, stay_local
from catalog.errors import ParleyError
from catalog.items import Catalog
from evals.dialogues import Dialogue, read_dialogues
from evals.outcomes import BETTER, Figure, by_dialogue, paired

GATED = (
    "success",
    "expectations kept",
    "constraint satisfaction",
    "frustrated",
    "crashed",
    "repeated items",
    "catalogue-valid",
)
NEVER = ("crashed", "repeated items", "catalogue-valid")  # no interval: one new case is worse


class Change(NamedTuple):
    """One metric in both files; ``difference`` is B minus A over the pairs."""

    metric: str
    before: float
    after: float
    difference: Figure
    worse: bool


def keyed(dialogues: Sequence[Dialogue], table: dict[str, float]) -> dict[str, float]:
    """Values by goal and trial, so that two files meet."""
    return {f"{d.goal.id}/{d.trial}": table[d.id] for d in dialogues if d.id in table}


def compare(
    a: Sequence[Dialogue], b: Sequence[Dialogue], catalog: Catalog, metrics: Sequence[str]
) -> list[Change]:
    """Every metric with its paired difference. ``ParleyError``: no pairs, or no such metric."""
    for metric in metrics:
        if metric not in BETTER:
            near = get_close_matches(metric, list(BETTER), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(BETTER)}."
            raise ParleyError(f"No metric {metric!r} to gate on: {hint}")
    first, second = by_dialogue(a, catalog), by_dialogue(b, catalog)
    changes = []
    for metric in metrics:
        x, y = keyed(a, first.get(metric, {})), keyed(b, second.get(metric, {}))
        shared = x.keys() & y.keys()
        if not shared:
            if metric in ("success", "crashed"):
                raise ParleyError(
                    "The two files share no goal and trial: simulate both with the same --seed."
                )
            continue
        difference = paired(x, y)
        sign = BETTER[metric]
        worse = difference.high < 0 if sign > 0 else difference.low > 0
        if metric in NEVER:
            worse = sign * difference.mean < 0
        before, after = (sum(v[k] for k in shared) / len(shared) for v in (x, y))
        changes.append(Change(metric, before, after, difference, worse))
    return changes


app = typer.Typer(add_completion=False)


@app.command()
def main(
    before: Annotated[Path, typer.Argument(help="Dialogues of A.")],
    after: Annotated[Path, typer.Argument(help="Dialogues of B.")],
    metric: Annotated[list[str] | None, typer.Option(help="What to gate on.")] = None,
    catalog: Annotated[Path | None, typer.Option(help="The catalogue talked about.")] = None,
    allow_bad: Annotated[bool, typer.Option(help="Leave malformed lines out.")] = False,
) -> None:
    """Exit with 1 if B is worse than A."""
    stay_local()
    try:
        items = Catalog.open(Settings.load(**({"catalog": catalog} if catalog else {})).catalog)
        a = read_dialogues(before, allow_bad=allow_bad).dialogues
        b = read_dialogues(after, allow_bad=allow_bad).dialogues
        changes = compare(a, b, items, metric or GATED)
    except ParleyError as error:
        typer.echo(f"compare: {error}", err=True)
        raise typer.Exit(2) from error
    table = Table("metric", "A", "B", "B - A (95 %)", "pairs", "")
    for c in changes:
        d = c.difference
        table.add_row(
            c.metric,
            f"{c.before:.3f}",
            f"{c.after:.3f}",
            f"{d.mean:+.3f} ({d.low:+.3f} … {d.high:+.3f})",
            str(d.n),
            "WORSE" if c.worse else "",
        )
    Console(stderr=True).print(table)
    worse = [c.metric for c in changes if c.worse]
    result = {c.metric: [round(v, 4) for v in c.difference[:3]] for c in changes}
    print(json.dumps({"worse": worse, "differences": result}))
    if worse:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
