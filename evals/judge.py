"""Judge dialogues: by rubrics, one by one or in pairs.

    python -m evals.judge dialogues.jsonl                       # the embedded judge, overall
    python -m evals.judge a.jsonl --rubric relevance --rubric grounding \\
        --judge http://HOST:8000/v1 --judge-model Qwen3-32B --out verdicts.jsonl
    python -m evals.judge a.jsonl --pairwise b.jsonl ...        # same goals, both orders

Refusals and answers that cannot be read are counted apart and are no scores. In pairs, both
orders are asked; disagreement between them is a tie, and its share is reported. Answers
are cached (``--cache``), so a stopped run goes on. The last line is JSON.

Why not on Inspect: it cannot be installed beside our pins (docs/decisions/0011).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from agent.llm import EndpointLLM
from agent.settings import Settings, stay_local
from catalog.errors import ParleyError
from evals.dialogues import Dialogue, read_dialogues
from evals.embedded_judge import Released, exchanges
from evals.features import Describer, Exchange
from evals.judges import (
    Cache,
    EmbeddedJudge,
    Judge,
    ModelJudge,
    Verdict,
    cost,
    key_of,
    same_family,
)
from evals.mapping import Question, Spread
from evals.outcomes import Figure, interval
from evals.rubric import Rubric, absolute_prompt, pairwise_prompt, read_rubric

Talk = Sequence[Exchange]
BATCH = 8


def open_judge(url: str | None, model: str | None, settings: Settings) -> Judge:
    """The embedded judge, or the model at an endpoint."""
    if url is None:
        return EmbeddedJudge(Describer.open(settings), Released.load())
    if not model:
        raise ParleyError(f"--judge {url} needs --judge-model, the name of a model at that server.")
    key = settings.endpoint_key.get_secret_value() if settings.endpoint_key else None
    llm = EndpointLLM(url, model, api_key=key, timeout=settings.endpoint_timeout_s)
    return ModelJudge(llm, model)


def ask(
    questions: Sequence[str],
    asked: Question,
    judge: Judge,
    cache: Cache,
    workers: int,
    spread: Spread | None = None,
) -> list[Verdict]:
    """A verdict for every question (its text is the cache's key), those unknown asked for.

    ``asked``: their subjects, in the same order. ``spread``: ask them on a Ray cluster.
    """
    keys = [key_of(judge.name, q) for q in questions]
    unknown = [k for k, key in enumerate(keys) if key not in cache.known]
    batches = [unknown[i : i + BATCH] for i in range(0, len(unknown), BATCH)]

    parts = [asked._replace(subjects=[asked.subjects[k] for k in batch]) for batch in batches]

    def keep(place: int, verdicts: Sequence[Verdict]) -> None:
        cache.add([v._replace(key=keys[k]) for k, v in zip(batches[place], verdicts, strict=True)])

    def work(place: int) -> None:
        keep(place, parts[place].put_to(judge))

    bar = partial(track, total=len(batches), console=Console(stderr=True))
    if spread is not None and batches:
        for place, verdicts in bar(spread.verdicts(parts), "judging"):
            keep(place, verdicts)
    else:
        with ThreadPoolExecutor(workers) as pool:
            for _ in bar(pool.map(work, range(len(batches))), "judging"):
                pass
    return [cache.known[k] for k in keys]


def absolute(
    judge: Judge,
    rubric: Rubric,
    talks: Sequence[Talk],
    cache: Cache,
    workers: int = 4,
    spread: Spread | None = None,
) -> list[Verdict]:
    """One verdict a conversation."""
    return ask(
        [absolute_prompt(rubric, t) for t in talks],
        Question("absolute", rubric, list(talks)),
        judge,
        cache,
        workers,
        spread,
    )


def both_orders(
    judge: Judge,
    rubric: Rubric,
    pairs: Sequence[tuple[Talk, Talk]],
    cache: Cache,
    workers: int = 4,
    spread: Spread | None = None,
) -> list[tuple[Verdict, Verdict]]:
    """Each pair asked as (a, b) and as (b, a)."""
    asked = [p for a, b in pairs for p in ((a, b), (b, a))]
    verdicts = ask(
        [pairwise_prompt(rubric, a, b) for a, b in asked],
        Question("pairwise", rubric, list(asked)),
        judge,
        cache,
        workers,
        spread,
    )
    return list(zip(verdicts[::2], verdicts[1::2], strict=True))


def preference(there: Verdict, back: Verdict) -> float | None:
    """1 the first is better, 0 the second, .5 a tie or a disagreement; None if either failed."""
    if there.status != "ok" or back.status != "ok":
        return None
    turned = {"A": "B", "B": "A"}.get(str(back.value), "tie")
    return {"A": 1.0, "B": 0.0}.get(str(there.value), 0.5) if there.value == turned else 0.5


def failures(verdicts: Sequence[Verdict]) -> dict[str, int]:
    return {s: sum(v.status == s for v in verdicts) for s in ("refused", "unparsed")}


def summarise_absolute(verdicts: Sequence[Verdict], groups: Sequence[str]) -> dict[str, Any]:
    """Mean score over those that are scores, and how many are not."""
    held = [
        (float(v.value), g)
        for v, g in zip(verdicts, groups, strict=True)
        if v.status == "ok" and v.value is not None
    ]
    figure = interval([s for s, _ in held], [g for _, g in held])
    return {"mean": figure, "n": figure.n, **failures(verdicts)}


def summarise_pairs(
    verdicts: Sequence[tuple[Verdict, Verdict]], groups: Sequence[str]
) -> dict[str, Any]:
    """Share won by the first file (ties count half), and how often the orders disagreed."""
    preferred = [preference(a, b) for a, b in verdicts]
    held = [(p, g) for p, g in zip(preferred, groups, strict=True) if p is not None]
    clash = [
        p == 0.5 and not (a.value == "tie" and b.value == "tie")
        for p, (a, b) in zip(preferred, verdicts, strict=True)
        if p is not None
    ]
    figure: Figure = interval([p for p, _ in held], [g for _, g in held])
    return {
        "first_wins": figure,
        "n": figure.n,
        "orders_disagree": round(sum(clash) / max(len(clash), 1), 4),
        **failures([v for pair in verdicts for v in pair]),
    }


def matched(a: Sequence[Dialogue], b: Sequence[Dialogue]) -> list[tuple[Dialogue, Dialogue]]:
    """Dialogues of both files on the same goal and trial. ``ParleyError`` if there are none."""
    other = {(d.goal.id, d.trial): d for d in b}
    pairs = [(d, other[d.goal.id, d.trial]) for d in a if (d.goal.id, d.trial) in other]
    if not pairs:
        raise ParleyError(
            "The two files share no goal: simulate both with the same --seed and --trials."
        )
    return pairs


def flags(judge: Judge, dialogues: Sequence[Dialogue], generator: str) -> list[str]:
    """What a reader must know about these scores."""
    engines = {d.engine.split("@")[0] for d in dialogues}
    notes = []
    if same_family(judge.name, generator):
        notes.append(f"judge {judge.name} and the judged agent ({generator}) are of one family")
    notes += [
        f"judge {judge.name} also played the user"
        for e in engines
        if e not in ("agenda", "llm") and same_family(judge.name, e)
    ]
    if judge.name == "parley-embedded-judge":
        notes.append(
            "embedded judge: a regression over features, trained on simulated outcomes; see "
            "docs/results/judge.md for how it compares with reply length on people's labels"
        )
    return notes


app = typer.Typer(add_completion=False)


@app.command()
def main(
    dialogues: Annotated[Path, typer.Argument(help="Dialogues to judge (JSON lines).")],
    pairwise: Annotated[Path | None, typer.Option(help="Compare with these, same goals.")] = None,
    rubric: Annotated[list[str] | None, typer.Option(help="Names or YAML files.")] = None,
    judge: Annotated[str | None, typer.Option(help="URL of an OpenAI-compatible server.")] = None,
    judge_model: Annotated[str | None, typer.Option(help="The judging model's name.")] = None,
    generator: Annotated[str, typer.Option(help="Model behind the judged agent.")] = "parley-small",
    cache: Annotated[Path | None, typer.Option(help="Verdicts kept between runs.")] = None,
    out: Annotated[Path | None, typer.Option(help="Verdicts as JSON lines.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64)] = 4,
    price_in: Annotated[float, typer.Option(help="Price of a million prompt tokens.")] = 0.0,
    price_out: Annotated[float, typer.Option(help="Price of a million written tokens.")] = 0.0,
    allow_bad: Annotated[bool, typer.Option(help="Leave malformed lines out.")] = False,
    ray: Annotated[
        str | None, typer.Option(help="Judge on a Ray cluster: local, auto or HOST:6379.")
    ] = None,
) -> None:
    """Score dialogues by rubrics, or compare two files of them."""
    stay_local()
    try:
        rubrics = [read_rubric(name) for name in rubric or ["overall"]]
        loaded = read_dialogues(dialogues, allow_bad=allow_bad)
        other = read_dialogues(pairwise, allow_bad=allow_bad) if pairwise else None
        settings = Settings.load()
        who = open_judge(judge, judge_model, settings)
        store = Cache(cache)
        over = Spread(ray, workers, judge, judge_model, settings) if ray is not None else None
        result: dict[str, Any] = {"judge": who.name, "bad_lines": len(loaded.bad), "rubrics": {}}
        spent: list[Verdict] = []
        rows: list[dict[str, Any]] = []
        for r in rubrics:
            if other is None:
                verdicts = absolute(
                    who, r, [exchanges(d) for d in loaded.dialogues], store, workers, over
                )
                result["rubrics"][r.name] = summarise_absolute(
                    verdicts, [d.goal.id for d in loaded.dialogues]
                )
                rows += [
                    {"id": d.id, "rubric": r.name, **v._asdict()}
                    for d, v in zip(loaded.dialogues, verdicts, strict=True)
                ]
                spent += verdicts
                continue
            pairs = matched(loaded.dialogues, other.dialogues)
            both = both_orders(
                who, r, [(exchanges(a), exchanges(b)) for a, b in pairs], store, workers, over
            )
            result["rubrics"][r.name] = summarise_pairs(both, [a.goal.id for a, _ in pairs])
            rows += [
                {"id": a.id, "rubric": r.name, "order": order, **v._asdict()}
                for (a, _), verdict in zip(pairs, both, strict=True)
                for order, v in zip(("AB", "BA"), verdict, strict=True)
            ]
            spent += [v for pair in both for v in pair]
        result["flags"] = flags(who, loaded.dialogues, generator)
        result |= cost(spent, price_in, price_out)
        if out is not None:
            out.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    except ParleyError as error:
        typer.echo(f"judge: {error}", err=True)
        raise typer.Exit(2) from error
    for note in result["flags"]:
        typer.echo(f"note: {note}", err=True)
    print(json.dumps(result))


if __name__ == "__main__":
    app()
