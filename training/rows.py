"""Every task as text rows: one function a task, each row ``{"task", "prompt", "completion"}``.

The same rows teach parley-small and any Hugging Face causal LM. Prompts are made by the very
code and files that serving uses: slates by ``tools.slate_prompt``, replies by
``agent.talker``, the simulated person by ``evals/prompts/user.md`` (read as a file; the two
rooms import nothing of each other). Semantic IDs are written as code tokens, as in
``<a_17><b_3><c_250>``; titles as "Title (Year)", one a line.

    python -m training.rows TASK... --catalog DIR --out DIR [--tokenizer DIR] \\
        [--data FILE --format redial|reddit|inspired|own|feedback] [--dialogues FILE]

Tasks: ``facts`` (what a code stands for), ``codes`` (the code of what is described),
``requests`` (a wish in words -> a code), ``histories`` (codes named together -> the next),
``titles`` (conversation -> titles), ``slates`` (conversation, query codes, candidates ->
slate), ``replies`` (act, evidence slots -> sentence), ``people`` (persona, goal -> user turn).
One file a task; the last line printed is JSON with the counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from jinja2 import Environment, StrictUndefined
from rich.console import Console

from catalog.embed import Embedder
from catalog.errors import ParleyError
from catalog.items import Catalog
from tools.candidates import RANKER, Candidates
from tools.features import Leave, Query
from tools.slate_prompt import SlatePrompts, query_vectors
from tools.tokens import CODES, MENTIONS, SID_TOKENS
from training.readers import Example, RowsError, Titles, examples
from training.requests import requests as made_requests

TextRow = dict[str, str]
ROOT: Final = Path(__file__).parent.parent
PERSON: Final = ROOT / "evals" / "prompts" / "user.md"
ASKED: Final = (
    "You recommend {nouns}. Below is a conversation between a person and you.\n"
    "Reply with {n} recommendations, one a line, each as Title (Year), best first, and nothing "
    "else.\n{seen}\n{turns}\nRecommendations:\n"
)
NAMES: Final = {"user": "Person", "agent": "You"}
#: Roles of facets that a fact row may tell, in this order.
TOLD: Final = ("date", "category", "maker", "people", "tag", "mood")
MOST_VALUES: Final = 3


def code_text(codes: Sequence[int]) -> str:
    """``<a_17><b_3><c_250>``; a fourth code, which only tells twins apart, is left out."""
    return "".join(SID_TOKENS[CODES * level + int(c)] for level, c in enumerate(codes[:3]))


def described(catalog: Catalog, row: int, rng: np.random.Generator) -> str:
    """Some of an item's facts in plain words: "1995, thriller; by Michael Mann"."""
    parts: list[str] = []
    for role in TOLD:
        for facet in catalog.domain.facets:
            if facet.role != role or rng.random() > 0.7:
                continue
            value = catalog.df[facet.name][row]
            values = value.to_list() if hasattr(value, "to_list") else value
            held = values if isinstance(values, list) else [values]
            known = [str(v) for v in held if v is not None][:MOST_VALUES]
            if known:
                parts.append(f"{'by ' if role == 'maker' else ''}{', '.join(known)}")
    return "; ".join(parts)


def facts(catalog: Catalog, count: int, seed: int = 0) -> Iterator[TextRow]:
    """A code -> title and facts. Popular items come more often; all come in the end."""
    rng = np.random.default_rng(seed)
    for row in _popular(catalog, count, rng):
        told = described(catalog, row, rng)
        title = str(catalog.df["title"][row])
        yield _row(
            "facts",
            f"What is {code_text(catalog.codes[row])}?\n",
            f"{title}: {told}." if told else f"{title}.",
        )


def codes(catalog: Catalog, count: int, seed: int = 0) -> Iterator[TextRow]:
    """A title, or facts alone, -> the code. Facts alone only where some are known."""
    rng = np.random.default_rng(seed)
    for row in _popular(catalog, count, rng):
        told = described(catalog, row, rng)
        title = str(catalog.df["title"][row])
        asked = told if told and rng.random() < 0.3 else title
        yield _row("codes", f"Find: {asked}\n", code_text(catalog.codes[row]))


def requests(catalog: Catalog, count: int, seed: int = 0) -> Iterator[TextRow]:
    """A wish in words -> codes of items that answer it (``training.requests``)."""
    rng = np.random.default_rng(seed)
    for request in made_requests(catalog, count, rng):
        answer = "".join(code_text(catalog.codes[row]) for row in request.targets)
        yield _row("requests", f"Person: {request.said}\nRecommendations:\n", answer)


def histories(catalog: Catalog, count: int, seed: int = 0) -> Iterator[TextRow]:
    """Items that people name together -> one more of them: walks over co-mentions."""
    rng = np.random.default_rng(seed)
    share = catalog.popularity + 0.01
    share = share / share.sum()
    made = 0
    while made < count:
        if not catalog.related.nnz:
            raise RowsError(
                f"{catalog.path} has no co-mentions (related.npz): leave the task histories out."
            )
        walk = [int(rng.choice(len(share), p=share))]
        for _ in range(int(rng.integers(2, 7))):
            lo, hi = catalog.related.indptr[walk[-1] : walk[-1] + 2]
            near = catalog.related.indices[lo:hi]
            weights = catalog.related.data[lo:hi].astype(np.float64)
            fresh = ~np.isin(near, walk)
            if not fresh.any():
                break
            weights = weights[fresh] / weights[fresh].sum()
            walk.append(int(rng.choice(near[fresh], p=weights)))
        if len(walk) < 2:
            continue
        made += 1
        past = "".join(code_text(catalog.codes[row]) for row in walk[:-1])
        yield _row("histories", f"Liked: {past}\nNext:\n", code_text(catalog.codes[walk[-1]]))


def titles(
    found: Iterable[Example], nouns: str = "films", n: int = 20, slates: bool = True
) -> Iterator[TextRow]:
    """A conversation -> titles, one a line. ``slates``: a teacher's list is learnt where there
    is one, what was really wanted else."""
    for example in found:
        answer = example.slate[:n] if slates and example.slate else example.targets[:n]
        yield _row("titles", title_prompt(example, nouns, n), "\n".join(answer))


def title_prompt(example: Example, nouns: str = "films", n: int = 20) -> str:
    """The text-title slate's prompt, for fine-tuning and reinforcement alike."""
    turns = "\n".join(f"{NAMES[role]}: {' '.join(text.split())}" for role, text in example.turns)
    seen = f"Do not name: {'; '.join(example.seen)}." if example.seen else ""
    return ASKED.format(nouns=nouns, n=n, seen=seen, turns=turns)


def query_of(example: Example, find: Callable[[str], int | None]) -> Query:
    """What the retrieval prior and the slate prompt read of a conversation.

    Titles inside the turns become ``<m1>``... where the source told them; ids do not stand in
    the text.
    """
    rows = {name: row for name in example.seen if (row := find(name)) is not None}
    plain, bare = [], []
    named: dict[str, dict[int, None]] = {"user": {}, "agent": {}}
    for role, text in example.turns:
        without = text
        for k, (name, row) in enumerate(rows.items()):
            if name in text:
                without = without.replace(name, MENTIONS[min(k, len(MENTIONS) - 1)])
                named[role].pop(row, None)
                named[role][row] = None
        plain.append((role, text))
        bare.append((role, without))
    refused = {row for name in example.refused if (row := find(name)) is not None}
    elsewhere = [row for row in rows.values() if row not in named["user"]]
    return Query(
        turns=tuple(plain[-8:]),
        delexicalised=tuple(bare[-8:]),
        liked=tuple(row for row in named["user"] if row not in refused),
        disliked=tuple(sorted(refused)),
        seen=tuple(row for row in elsewhere if row not in refused),
    )


def slates(
    found: Iterable[Example], candidates: Candidates, prompts: SlatePrompts
) -> Iterator[TextRow]:
    """A conversation with query codes and candidates -> the codes of what was wanted.

    The prompt is ``tools.slate_prompt``'s, written out as text. Examples of which the catalogue
    has no target are left out. (For parley-small with the prior in the loss:
    ``training.make_slate_rows``.)
    """
    catalog = candidates.catalog
    find = Titles(catalog)
    for example in found:
        query = query_of(example, find)
        allowed = np.ones(len(catalog), dtype=np.bool_)
        allowed[list(query.named + query.disliked)] = False
        targets = [row for name in example.targets if (row := find(name)) is not None]
        targets = [row for row in dict.fromkeys(targets) if allowed[row]]
        if not targets:
            continue
        named = tuple(sorted({*query.named, *targets}))
        prior = candidates.weights(query, allowed, leave=Leave(named, -1))
        last = candidates.features.vector(query.text())
        vectors = query_vectors(last, candidates.features.taste(query), prior.about_vectors)
        ids = prompts.prompt(
            prompts.text(query.delexicalised),
            query,
            vectors,
            prior.top,
            catalog.codes,
            catalog.codebooks,
        )
        yield _row(
            "slates",
            written(prompts.tokenizer, ids),
            "".join(code_text(catalog.codes[row]) for row in targets),
        )


def written(tokenizer: Any, ids: Sequence[int]) -> str:
    """Ids as the text that gives them back; ``RowsError`` where a tokenizer cannot do that."""
    text = str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
    if tokenizer(text, add_special_tokens=False)["input_ids"] != list(ids):
        raise RowsError(f"The tokenizer does not give back what it wrote: {text[:80]!r}.")
    return text


def replies(catalog: Catalog, count: int, seed: int = 0) -> Iterator[TextRow]:
    """An act with evidence slots -> a verified sentence (``training.reply_rows``)."""
    from training.reply_rows import generate

    for row in generate(catalog, max(count, 100), seed)[0]:
        yield _row("replies", row.prompt, row.completion)


def people(path: Path, template: Path = PERSON) -> Iterator[TextRow]:
    """Persona and goal -> the person's next message, from ``evals.simulate``'s dialogues."""
    if not path.is_file():
        raise RowsError(f"{path} is missing: make it with `python -m evals.simulate`.")
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    page = environment.from_string(template.read_text(encoding="utf-8"))
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
            persona, goal, turns = told["persona"], told["goal"], told["turns"]
            wants = [_want(c) for c in goal["clauses"]] + list(goal["about"])
            said = [("You" if t["role"] == "user" else "Recommender", t["text"]) for t in turns]
            who = {"persona": persona["name"], "verbosity": persona["verbosity"]}
            patience = round(persona["patience"])
        except (ValueError, KeyError, TypeError) as error:
            raise RowsError(
                f"{path} line {number} is no simulated dialogue ({error!r}): it needs persona, "
                "goal and turns."
            ) from error
        for k, (speaker, text) in enumerate(said):
            if speaker == "You":
                prompt = page.render(
                    nouns="items",
                    noun="item",
                    wants=wants,
                    passing="",
                    patience=patience,
                    history=said[max(0, k - 6) : k],
                    **who,
                )
                yield _row("people", prompt, text)


def _want(clause: dict[str, Any]) -> str:
    value = clause.get("value")
    value = ", ".join(map(str, value)) if isinstance(value, list) else value
    return f"{clause['field']} {clause['op']} {value}"


def _popular(catalog: Catalog, count: int, rng: np.random.Generator) -> Iterator[int]:
    """Rows drawn by the root of popularity; every row stands once in the first ``N``."""
    share = np.sqrt(catalog.popularity + 0.1)
    share = share / share.sum()
    order = rng.choice(len(share), size=len(share), replace=False, p=share)
    yield from (int(row) for row in islice(order, count))
    for _ in range(max(0, count - len(order))):
        yield int(rng.choice(len(share), p=share))


def _row(task: str, prompt: str, completion: str) -> TextRow:
    return {"task": task, "prompt": prompt, "completion": completion}


def possible(catalog: Catalog, tasks: Sequence[str]) -> tuple[str, ...]:
    """Those of the tasks that this catalogue has data for: histories need co-mentions,
    requests need tags."""
    lacking = set()
    if not catalog.related.nnz:
        lacking.add("histories")
    if not made_requests(catalog, 1, np.random.default_rng(0)):
        lacking.add("requests")
    return tuple(task for task in tasks if task not in lacking)


def write(rows: Iterable[TextRow], path: Path) -> int:
    """Write JSON lines; how many. ``RowsError`` when there is none, or one is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for count, row in enumerate(rows, start=1):
            if not row["prompt"].strip() or not row["completion"].strip():
                raise RowsError(f"Row {count} of {path.name} is empty: {row}.")
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    if not count:
        raise RowsError(f"No row for {path.name}: the data holds nothing that the task can use.")
    return count


def main(
    tasks: Annotated[list[str], typer.Argument(help="see the module's text")],
    catalog: Annotated[Path, typer.Option(help="built catalogue")],
    out: Annotated[Path, typer.Option(help="folder; one <task>.jsonl each")],
    data: Annotated[Path | None, typer.Option(help="conversations, for titles and slates")] = None,
    format: Annotated[str, typer.Option(help="of --data")] = "redial",
    dialogues: Annotated[Path | None, typer.Option(help="of evals.simulate, for people")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="for slates")] = None,
    ranker: Annotated[Path, typer.Option(help="ranker.npz, for slates")] = RANKER,
    count: Annotated[int, typer.Option(help="rows a task, where they are made up")] = 5000,
    limit: Annotated[int | None, typer.Option(help="conversations read at most")] = None,
    seed: Annotated[int, typer.Option(help="the same seed gives the same rows")] = 0,
) -> None:
    """Write the rows of some tasks."""
    torch.set_num_threads(1)
    console = Console(stderr=True)

    def conversations() -> Iterable[Example]:
        if data is None:
            raise RowsError("titles and slates need conversations: give --data and --format.")
        return islice(examples(format, data), limit)

    def slate_rows() -> Iterator[TextRow]:
        from transformers import AutoTokenizer

        if tokenizer is None:
            raise RowsError("slates need --tokenizer: a folder whose tokenizer has the codes.")
        loaded: Any = AutoTokenizer.from_pretrained(tokenizer)
        ready = Candidates.open(opened, Embedder(), ranker)
        return slates(conversations(), ready, SlatePrompts(loaded))

    makers: dict[str, Callable[[], Iterator[TextRow]]] = {
        "facts": lambda: facts(opened, count, seed),
        "codes": lambda: codes(opened, count, seed),
        "requests": lambda: requests(opened, count, seed),
        "histories": lambda: histories(opened, count, seed),
        "titles": lambda: titles(conversations(), opened.domain.noun_many),
        "slates": slate_rows,
        "replies": lambda: replies(opened, count, seed),
        "people": lambda: people(dialogues or Path("dialogues.jsonl")),
    }
    try:
        opened = Catalog.open(catalog)
        unknown = [task for task in tasks if task not in makers]
        if unknown:
            raise RowsError(f"No task {unknown[0]!r}: choose of {', '.join(makers)}.")
        counts = {task: write(makers[task](), out / f"{task}.jsonl") for task in tasks}
    except ParleyError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    print(json.dumps({"rows": counts, "out": str(out)}))


if __name__ == "__main__":
    typer.run(main)
