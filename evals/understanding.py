"""How well the agent understands text that people wrote: slots, intents, titles.

    python -m evals.understanding --data DIR/lm [--redial test.jsonl.gz --names ids.tsv]
        [--arm rules --arm both] [--limit 400]
        [--llm http://HOST:8000/v1 --llm-model NAME [--no-schema]]

``--data`` is the folder of open corpora (``evals.human_turns`` says which). With ``--llm`` a
language model reads them too, held to a JSON schema where its server can (``agent.reader``);
turns for which it wrote nothing usable are read by rules and counted. Every arm reads the same
turns; differences to rules alone are paired, sessions resampled whole. A slot counts as found
when the update holds something of its kind with the same words (or the same catalogue value).
Title linking is measured with ReDial's markers removed; links where no film was marked count
as wrong, so precision is a lower bound. The last line is JSON.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast, get_args

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from agent.encoder import Encoder
from agent.llm import EndpointLLM
from agent.reader import Reader
from agent.settings import Settings, stay_local
from agent.state import Beliefs, DialogueState, Slate, StateUpdate, Turn
from agent.understand import understand
from catalog.embed import Embedder
from catalog.errors import ParleyError
from catalog.items import Catalog
from evals.human_turns import CORPORA, HumanTurn, Marked, Slot, redial
from evals.outcomes import RESAMPLES, Figure
from tools.find_title import TitleLinker

Arm = Literal["rules", "encoder", "both"]
LLM_ARM = "llm"
Reading = Callable[[str, DialogueState], StateUpdate]


class Counts(NamedTuple):
    """Of one turn: slots found, slots there are, slots read that could be judged, and right."""

    found: int
    gold: int
    read: int
    right: int


class Scored(NamedTuple):
    """One arm on one turn. ``intent`` None where the turn has no intent label."""

    group: str
    intent: bool | None
    counts: Counts


def state_of(turn: HumanTurn, catalog: Catalog) -> DialogueState:
    """The state in which a turn was said: nothing, a list on screen, or a question asked."""
    user = Turn(role="user", text=turn.text)
    if turn.context == "shown":
        top = np.argsort(-catalog.popularity, kind="stable")[:5]
        slate = Slate(item_ids=tuple(catalog.ids[int(r)] for r in top))
        before = [
            Turn(role="user", text="hello"),
            Turn(role="agent", text="", act="recommend", slate=slate),
        ]
        return DialogueState(turns=[*before, user], slate=slate)
    if turn.context == "ask":
        asked = next((f.name for f in catalog.domain.facets if f.role == "category"), None)
        before = [Turn(role="user", text="hello"), Turn(role="agent", text="", act="ask")]
        return DialogueState(
            turns=[*before, user], beliefs=Beliefs(asked=(asked,) if asked else ())
        )
    return DialogueState(turns=[user])


def slots_of(update: StateUpdate, catalog: Catalog) -> list[Slot]:
    """What an update holds, as (kind, words)."""
    roles = {f.name: f.role for f in catalog.domain.facets}
    kinds = {"category": "category", "maker": "person", "people": "person", "date": "number"}
    slots: list[Slot] = [("title", m.said.lower()) for m in update.mentions]
    slots += [("title", name.lower()) for name in update.unknown]
    for clause in update.add:
        kind = kinds.get(roles.get(clause.field, ""), "about")
        words = (
            [str(v).lower() for v in clause.values] if kind != "number" else [clause.said.lower()]
        )
        slots += [(kind, w) for w in words]
    slots += [("about", a.text.lower()) for a in update.about]
    return slots


def agree(gold: Slot, read: Slot, values: dict[str, str]) -> bool:
    """Same kind, and the same catalogue value or words that contain one another."""
    # A keyword may well be a theme or a genre of the catalogue.
    if gold[0] != read[0] and (gold[0], read[0]) != ("about", "category"):
        return False
    a, b = (values.get(w, w) for w in (gold[1], read[1]))
    return a == b or (len(min(a, b, key=len)) > 2 and (a in b or b in a))


def score(turn: HumanTurn, update: StateUpdate, catalog: Catalog, values: dict[str, str]) -> Scored:
    """One reading against the labels."""
    intent = None if turn.intent is None else update.intent == turn.intent
    read = slots_of(update, catalog)
    if turn.kinds is not None:
        kinds = {k for k, _ in read} & {"title", "person", "category"}
        hit = len(kinds & turn.kinds)
        return Scored(turn.group, intent, Counts(hit, len(turn.kinds), len(kinds), hit))
    found = sum(any(agree(g, r, values) for r in read) for g in turn.slots)
    if not turn.whole:
        return Scored(turn.group, intent, Counts(found, len(turn.slots), 0, 0))
    right = sum(any(agree(g, r, values) for g in turn.slots) for r in read)
    return Scored(turn.group, intent, Counts(found, len(turn.slots), len(read), right))


def surfaces(catalog: Catalog) -> dict[str, str]:
    """Everyday word -> catalogue value, lower case."""
    out: dict[str, str] = {}
    for facet in catalog.domain.facets:
        out |= {word: value.lower() for word, value in facet.synonyms.items()}
    return out


def figures(scored: Sequence[Scored], other: Sequence[Scored] | None = None) -> dict[str, Figure]:
    """Intent accuracy, slot recall, precision, F1; minus the other arm's where given.

    Ratios of sums over sessions drawn with replacement, the same draws for both arms.
    """
    _, place = np.unique(np.array([s.group for s in scored]), return_inverse=True)
    n = int(place.max()) + 1
    draws = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)

    def sums(rows: Sequence[Scored]) -> np.ndarray[Any, Any]:
        table = np.array(
            [[s.intent or 0, s.intent is not None, *s.counts] for s in rows], dtype=np.float64
        )
        return np.stack([np.bincount(place, table[:, k], n) for k in range(6)], axis=1)

    mine, theirs = sums(scored), sums(other) if other is not None else None
    whole = np.ones((1, n))
    out: dict[str, Figure] = {}
    labels = {"intent": 1, "recall": 3, "precision": 4, "f1": 4}
    for name, column in labels.items():
        size = int(mine[:, column].sum())
        if not size or (name == "f1" and not mine[:, 3].sum()):
            continue
        point, spread = _ratio(whole @ mine, name), _ratio(draws @ mine, name)
        if theirs is not None:
            point, spread = (
                point - _ratio(whole @ theirs, name),
                spread - _ratio(draws @ theirs, name),
            )
        if np.isnan(spread).all():  # one arm read nothing that could be right or wrong
            continue
        low, high = np.nanquantile(spread, (0.025, 0.975))
        out[name] = Figure(float(point[0]), float(low), float(high), size)
    return out


def _ratio(sums: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, precision = sums[:, 2] / sums[:, 3], sums[:, 5] / sums[:, 4]
        if name == "intent":
            accuracy: np.ndarray[Any, Any] = sums[:, 0] / sums[:, 1]
            return accuracy
        if name == "f1":
            f1: np.ndarray[Any, Any] = np.nan_to_num(2 * precision * recall / (precision + recall))
            return f1
        chosen: np.ndarray[Any, Any] = recall if name == "recall" else precision
        return chosen


def link(linker: TitleLinker, messages: Sequence[Marked]) -> dict[str, float]:
    """Precision and recall of title linking; films without a row in the catalogue are left out."""
    right = wrong = missed = 0
    for message in track(messages, "linking", console=Console(stderr=True)):
        hit: set[int] = set()
        for found in linker.link(message.text):
            if found.kind != "item":
                continue
            at = next(
                (
                    k
                    for k, (s, e, _) in enumerate(message.films)
                    if found.start < e and found.end > s
                ),
                None,
            )
            if at is not None and not message.films[at][2]:
                continue
            if at is not None and message.films[at][2] == found.value and at not in hit:
                hit.add(at)
                right += 1
            else:
                wrong += 1
        missed += sum(bool(f[2]) and k not in hit for k, f in enumerate(message.films))
    return {
        "precision": round(right / max(1, right + wrong), 4),
        "recall": round(right / max(1, right + missed), 4),
        "right": right, "wrong": wrong, "missed": missed, "messages": len(messages),
    }  # fmt: skip


def sampled(folder: Path, limit: int, seed: int = 0) -> list[HumanTurn]:
    """At most ``limit`` test turns a corpus, drawn once and for all by the seed."""
    turns: list[HumanTurn] = []
    for corpus, load in CORPORA.items():
        found = list(load(folder))
        random.Random(f"{seed}-{corpus}").shuffle(found)
        turns += found[:limit]
    return turns


def reading(
    arm: str, catalog: Catalog, linker: TitleLinker, encoder: Encoder, llm: EndpointLLM | None
) -> Reading:
    """What reads a turn in this arm."""
    if arm == LLM_ARM and llm is not None:
        return Reader(llm, catalog, linker).read
    chosen = cast(Arm, arm)
    return lambda text, state: understand(text, state, catalog, linker, encoder, arm=chosen)


def arms_of(named: Sequence[str], llm: str | None, model: str | None) -> list[str]:
    """The arms asked for. ``ParleyError``: an unknown one, or an LLM without its address."""
    arms = list(named) or [*get_args(Arm), *([LLM_ARM] if llm else [])]
    known = (*get_args(Arm), LLM_ARM)
    unknown = [a for a in arms if a not in known]
    if unknown:
        raise ParleyError(f"--arm {unknown[0]!r}: there are {', '.join(known)}.")
    if LLM_ARM in arms and not (llm and model):
        raise ParleyError("--arm llm needs --llm URL and --llm-model, the model's name there.")
    return arms


app = typer.Typer(add_completion=False)


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="Folder of the open corpora.")],
    redial_test: Annotated[Path | None, typer.Option("--redial", help="ReDial test file.")] = None,
    names: Annotated[
        Path | None, typer.Option(help="Film id to catalogue id, for --redial.")
    ] = None,
    arms: Annotated[
        list[str] | None, typer.Option("--arm", help="rules, encoder, both, llm.")
    ] = None,
    llm: Annotated[str | None, typer.Option(help="URL of an OpenAI-compatible server.")] = None,
    llm_model: Annotated[str | None, typer.Option(help="The model's name there.")] = None,
    schema: Annotated[bool, typer.Option(help="Does that server hold to a JSON schema?")] = True,
    limit: Annotated[int, typer.Option(min=1, help="Turns a corpus.")] = 400,
    linked: Annotated[int, typer.Option(min=1, help="ReDial messages.")] = 4000,
) -> None:
    """Print the figures of every arm on every corpus."""
    stay_local()
    try:
        settings = Settings.load()
        chosen = arms_of(arms or [], llm, llm_model)
        if redial_test is not None and names is None:
            raise ParleyError("--redial needs --names, the table of film ids.")
        turns = sampled(data, limit)
        catalog = Catalog.open(settings.catalog)
        encoder = Encoder.load(settings.model / "understander", Embedder(threads=1))
        linker = TitleLinker(catalog)
        values, results = surfaces(catalog), {}
        by_arm: dict[str, list[Scored]] = {}
        fallen_back: dict[str, int] = {}
        key = settings.endpoint_key.get_secret_value() if settings.endpoint_key else None
        endpoint = (
            EndpointLLM(llm, llm_model, key, timeout=settings.endpoint_timeout_s, schema=schema)
            if llm and llm_model
            else None
        )
        for arm in chosen:
            read = reading(arm, catalog, linker, encoder, endpoint)
            updates = [
                read(t.text, state_of(t, catalog))
                for t in track(turns, arm, console=Console(stderr=True))
            ]
            by_arm[arm] = [
                score(t, u, catalog, values) for t, u in zip(turns, updates, strict=True)
            ]
            if arm == LLM_ARM:
                fallen_back[arm] = sum(u.read_by != "llm" for u in updates)
        places: dict[str, list[int]] = defaultdict(list)
        for k, turn in enumerate(turns):
            places[turn.corpus].append(k)
        for corpus, held in places.items():
            for arm, scored in by_arm.items():
                mine = [scored[k] for k in held]
                results[f"{corpus}/{arm}"] = figures(mine)
                if arm != "rules" and "rules" in by_arm:
                    base = [by_arm["rules"][k] for k in held]
                    results[f"{corpus}/{arm}-rules"] = figures(mine, base)
        linking = None
        if redial_test is not None and names is not None:
            messages = [m for m in redial(redial_test, names) if re.search(r"\w", m.text)]
            random.Random(0).shuffle(messages)
            linking = link(linker, messages[:linked])
    except ParleyError as error:
        typer.echo(f"understanding: {error}", err=True)
        raise typer.Exit(2) from error
    table = Table("corpus / arm", "intent", "recall", "precision", "F1")
    for name, row in results.items():
        cells = [row.get(k) for k in ("intent", "recall", "precision", "f1")]
        table.add_row(
            name,
            *(f"{c.mean:.3f} ({c.low:.3f} … {c.high:.3f}) n {c.n}" if c else "" for c in cells),
        )
    Console(width=150).print(table)
    rounded = {
        name: {k: [round(v, 4) for v in f[:3]] + [f.n] for k, f in row.items()}
        for name, row in results.items()
    }
    print(json.dumps({"figures": rounded, "linking": linking, "read_by_rules": fallen_back}))


if __name__ == "__main__":
    app()
