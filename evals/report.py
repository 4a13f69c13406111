"""One page about one or more runs: figures with intervals, plots, the best and worst dialogues.

    python -m evals.report dialogues.jsonl [other.jsonl] --out report.html
        [--verdicts verdicts.jsonl] [--calibration calibrate.json] [--markdown table.md]

The page is one file without scripts or outside references. Dialogues are ranked by outcome,
then by the person's annoyance (and by judge scores where ``--verdicts`` of
``python -m evals.judge --out`` are given). Text of dialogues is escaped: it came from anyone.
A judge whose calibration (the last line of ``evals.calibrate``) does not beat reply length is
flagged at the top. Last line printed: JSON.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter, defaultdict
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from agent.settings import Settings, stay_local
from catalog.errors import ParleyError
from catalog.items import Catalog
from evals.charts import bars, histogram, legend
from evals.dialogues import Dialogue, lines_of, read_dialogues
from evals.outcomes import PASS_K, Figure, interval, summarise

BEST_AND_WORST = 20
SHARES = (
    "success", "success@2", "success@3", "success@5", "success@8", "pass^2", "pass^4", "pass^8",
    "hit", "constraint satisfaction", "understood clauses held", "frustrated", "gave up",
    "repeated items", "repeated sentences", "catalogue-valid", "diversity",
)  # fmt: skip
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:62em;margin:2em auto;
padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .7em;border-bottom:1px solid #ddd;
text-align:right}td:first-child,th:first-child{text-align:left}
.flag{background:#fdecea;padding:.6em 1em}
details{border:1px solid #ddd;margin:.5em 0;padding:.4em .8em}
.u,.a{white-space:pre-wrap;margin:.3em 0}
svg{max-width:100%;height:auto}.u{color:#3d5a80;font-weight:600}small{color:#666}"""


class Run(NamedTuple):
    """A file of dialogues and its figures."""

    name: str
    dialogues: list[Dialogue]
    figures: dict[str, Figure]
    bad: int


def shown(figure: Figure) -> str:
    """ ".724 (.671 ... .774)"; the mean alone where no interval was drawn."""
    if figure.low == figure.high == figure.mean:
        return f"{figure.mean:.3g}"
    return f"{figure.mean:.3g} ({figure.low:.3g} … {figure.high:.3g})"


def markdown(runs: Sequence[Run]) -> str:
    """The table for a README: a row a metric, a column a run."""
    names = list(dict.fromkeys(n for run in runs for n in run.figures))
    head = "| | " + " | ".join(f"{r.name} (n {len(r.dialogues)})" for r in runs) + " |\n"
    rule = "|---|" + "---:|" * len(runs) + "\n"
    rows = [
        f"| {name} | "
        + " | ".join(shown(r.figures[name]) if name in r.figures else "" for r in runs)
        + " |\n"
        for name in names
    ]
    return head + rule + "".join(rows)


def read_scores(path: Path) -> dict[str, dict[str, float]]:
    """Rubric -> dialogue id -> score, from the verdicts that are scores."""
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for number, raw in lines_of(path):
        if isinstance(raw, str) or not {"id", "rubric", "status", "value"} <= raw.keys():
            raise ParleyError(
                f"{path}, line {number} is no verdict: give the --out file of evals.judge."
            )
        if raw["status"] == "ok" and not isinstance(raw["value"], str):
            scores[raw["rubric"]][raw["id"]] = float(raw["value"])
    return dict(scores)


def rank(dialogues: Sequence[Dialogue], scores: dict[str, dict[str, float]]) -> list[Dialogue]:
    """Best first: success, judges' mean score, little annoyance, few turns."""

    def key(d: Dialogue) -> tuple[float, ...]:
        judged = [table[d.id] for table in scores.values() if d.id in table]
        mean = sum(judged) / len(judged) if judged else 0.0
        return (-d.outcome.success, -mean, d.outcome.frustration, d.outcome.turn)

    return sorted(dialogues, key=key)


def page(
    runs: Sequence[Run], scores: dict[str, dict[str, float]], flags: Sequence[str], commit: str
) -> str:
    """The whole report as HTML."""
    names = [r.name for r in runs]
    kept = [n for n in SHARES if any(n in r.figures for r in runs)]
    empty = Figure(0, 0, 0, 0)
    plot = bars([(n, [r.figures.get(n, empty) for r in runs]) for n in kept])
    turns = histogram([(r.name, [d.outcome.turn for d in r.dialogues]) for r in runs], "user turns")
    body = [
        "<h1>Simulated conversations</h1>",
        f"<p>{' and '.join(f'{escape(r.name)}: {len(r.dialogues)} dialogues' for r in runs)}. "
        f"Commit {escape(commit)}. 95 % bootstrap intervals, goals resampled whole, seed 0.</p>",
        *(f'<p class="flag">{escape(f)}</p>' for f in flags),
        "<h2>Figures</h2>",
        _table(runs),
        legend(names),
        plot,
        "<h2>How long they took</h2>",
        turns,
        "<h2>How they ended, by persona</h2>",
        *(_personas(r) for r in runs),
    ]
    if scores:
        body.append("<h2>Judges</h2>" + "".join(_judged(r, scores) for r in runs))
    for run in runs:
        ordered = rank(run.dialogues, scores)
        best, worst = ordered[:BEST_AND_WORST], ordered[BEST_AND_WORST:][-BEST_AND_WORST:]
        body.append(f"<h2>{escape(run.name)}: the best {len(best)}</h2>")
        body += [_dialogue(d, scores) for d in best]
        body.append(f"<h2>{escape(run.name)}: the worst {len(worst)}</h2>")
        body += [_dialogue(d, scores) for d in reversed(worst)]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Parley report</title>'
        f"<style>{STYLE}</style><body>{''.join(body)}</body></html>\n"
    )


def _table(runs: Sequence[Run]) -> str:
    names = list(dict.fromkeys(n for run in runs for n in run.figures))
    head = "".join(f"<th>{escape(r.name)}</th><th>n</th>" for r in runs)
    rows = []
    for name in names:
        cells = "".join(
            f"<td>{shown(r.figures[name])}</td><td>{r.figures[name].n}</td>"
            if name in r.figures
            else "<td></td><td></td>"
            for r in runs
        )
        rows.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def _personas(run: Run) -> str:
    groups: dict[str, list[Dialogue]] = defaultdict(list)
    for d in run.dialogues:
        groups[d.persona.name].append(d)
    rows = []
    for name, held in sorted(groups.items()):
        ends = Counter(d.outcome.end for d in held)
        good = sum(d.outcome.success for d in held) / len(held)
        sad = sum(d.outcome.frustrated for d in held) / len(held)
        said = ", ".join(f"{k} {v}" for k, v in sorted(ends.items()))
        rows.append(
            f"<tr><td>{escape(name)}</td><td>{len(held)}</td><td>{good:.2f}</td><td>{sad:.2f}</td>"
            f"<td>{said}</td></tr>"
        )
    head = "<tr><th>persona</th><th>n</th><th>success</th><th>frustrated</th><th>ends</th></tr>"
    return f"<h3>{escape(run.name)}</h3><table>{head}{''.join(rows)}</table>"


def _judged(run: Run, scores: dict[str, dict[str, float]]) -> str:
    """Mean scores of this run's dialogues; a rubric that scored none of them is left out."""
    goal = {d.id: d.goal.id for d in run.dialogues}
    rows = []
    for name, table in scores.items():
        held = {i: s for i, s in table.items() if i in goal}
        if held:
            figure = interval(list(held.values()), [goal[i] for i in held])
            rows.append(
                f"<tr><td>{escape(name)}</td><td>{shown(figure)}</td><td>{figure.n}</td></tr>"
            )
    head = "<tr><th>rubric</th><th>mean</th><th>n</th></tr>"
    return f"<h3>{escape(run.name)}</h3><table>{head}{''.join(rows)}</table>" if rows else ""


def _dialogue(d: Dialogue, scores: dict[str, dict[str, float]]) -> str:
    goal = "; ".join(f"{c.field} {c.op} {', '.join(map(str, c.values))}" for c in d.goal.clauses)
    wishes = ", ".join(w.said for w in d.goal.wishes)
    judged = " ".join(f"{name} {t[d.id]:.2g}" for name, t in scores.items() if d.id in t)
    lines = "".join(
        f'<div class="{"u" if t.role == "user" else "a"}">'
        f"{escape(t.text)}{f' <small>[{t.act}]</small>' if t.act else ''}</div>"
        for t in d.turns
    )
    o = d.outcome
    return (
        f"<details><summary>{escape(d.id)} · {escape(d.persona.name)} · {o.end}"
        f"{' · success' if o.success else ''} · {o.turn} turns · annoyance {o.frustration:g} "
        f"{escape(judged)}</summary><p><small>wants "
        f"{escape('; '.join(x for x in (goal, wishes) if x))}"
        f" ({d.goal.matches} items){escape(' ' + o.note)}</small></p>{lines}</details>"
    )


def notes(runs: Sequence[Run], scores: dict[str, dict[str, float]]) -> list[str]:
    """What a reader of these figures must know: lines left out, metrics that could not be had."""
    said = [f"{r.name}: {r.bad} malformed lines were left out." for r in runs if r.bad]
    said += [
        f"{r.name}: no goal was played {PASS_K[2]} times or more, so there is no pass^{PASS_K[2]} "
        f"(evals.simulate --trials {PASS_K[2]})."
        for r in runs
        if f"pass^{PASS_K[2]}" not in r.figures
    ]
    judged = {i for table in scores.values() for i in table}
    if judged and not any(d.id in judged for r in runs for d in r.dialogues):
        said.append("The verdicts are of other dialogues: none of their ids is in these runs.")
    return said


def commit_of() -> str:
    """The commit this was run at, with "+" where files were changed; "unknown" outside git."""
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return run.stdout.strip()


def calibration_flags(path: Path) -> list[str]:
    """A warning for a judge that is not shown to beat reply length."""
    try:
        raw: dict[str, Any] = json.loads(path.read_text("utf-8").strip().splitlines()[-1])
        low, high = raw["difference_ci"]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ParleyError(
            f"{path} is no calibration ({error!r}): give the output of evals.calibrate."
        ) from error
    if float(low) > 0:
        return []
    return [
        f"The judge {raw.get('judge', '')} is not shown to beat reply length on people's labels: "
        f"difference in AUC {low} … {high}. Do not rest a decision on its scores."
    ]


app = typer.Typer(add_completion=False)


@app.command()
def main(
    runs: Annotated[list[Path], typer.Argument(help="Files of dialogues.")],
    out: Annotated[Path, typer.Option(help="The HTML page.")] = Path("report.html"),
    markdown_out: Annotated[Path | None, typer.Option("--markdown", help="The table.")] = None,
    verdicts: Annotated[Path | None, typer.Option(help="Output of evals.judge --out.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="Output of evals.calibrate.")] = None,
    catalog: Annotated[Path | None, typer.Option(help="The catalogue talked about.")] = None,
    allow_bad: Annotated[bool, typer.Option(help="Leave malformed lines out.")] = False,
) -> None:
    """Write the report."""
    stay_local()
    try:
        items = Catalog.open(Settings.load(**({"catalog": catalog} if catalog else {})).catalog)
        made = []
        for path in runs:
            loaded = read_dialogues(path, allow_bad=allow_bad)
            name = path.stem
            made.append(
                Run(name, loaded.dialogues, summarise(loaded.dialogues, items), len(loaded.bad))
            )
        scores = read_scores(verdicts) if verdicts else {}
        flags = calibration_flags(calibration) if calibration else []
        if scores and calibration is None:
            flags.append("These judge scores come without a calibration against people.")
        flags += notes(made, scores)
        out.write_text(page(made, scores, flags, commit_of()), "utf-8")
        if markdown_out is not None:
            markdown_out.write_text(markdown(made), "utf-8")
    except ParleyError as error:
        typer.echo(f"report: {error}", err=True)
        raise typer.Exit(2) from error
    print(markdown(made), end="")
    print(
        json.dumps(
            {"out": str(out), "runs": {r.name: len(r.dialogues) for r in made}, "flags": flags}
        )
    )


if __name__ == "__main__":
    app()
