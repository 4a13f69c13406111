"""Train the understander: frozen MiniLM, LoRA on query and value, three heads.

One stage, one script. Data are generated turns (``training.turns``: an endless supply,
no row twice) mixed with open corpora that label parts of human text; losses count only
what is labelled. Validation uses held-out surface patterns and the corpora's held-out
fifth. Fifteen minutes of one thread's processor time; a run that is stopped goes on from
``--work``.

    python -m training.understander --corpora DIR --redial FILE --names TSV --minutes 15
"""

import json
import random
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer
from rich.console import Console
from torch.nn.functional import cross_entropy

from catalog.embed import Embedder
from catalog.items import Catalog
from tools.turn_encoder import INTENTS, OPERATORS, TAGS, Heads, decode, save, tokenize
from training.turn_corpora import read_corpora, read_redial
from training.turns import Example, Generator

IGNORE = -100
RANK = 16
ALPHA = 32
LAYERS = (3, 4, 5)  # of six: the lower ones need no backward pass, a third of the time saved
MAX_CHARS = 160  # longer human turns cost much and teach little
ROOT = Path(__file__).resolve().parents[1]


app = typer.Typer(add_completion=False)


class Batch(NamedTuple):
    """Tensors of one step: inputs, tags and operators ``(B, T)``, intent ``(B,)``."""

    inputs: dict[str, torch.Tensor]
    intent: torch.Tensor
    tags: torch.Tensor
    operators: torch.Tensor


class Figures(NamedTuple):
    """``intent``: accuracy. ``slot``: span F1 (exact). ``operator``: accuracy on true spans."""

    intent: float
    slot: float
    operator: float
    n: int


def collate(tokenizer: Any, examples: list[Example]) -> Batch:
    """Examples to tensors; what is not labelled is ``IGNORE``d by the loss."""
    enc = tokenize(tokenizer, [e.context for e in examples], [e.text for e in examples])
    offsets = enc.pop("offset_mapping").tolist()
    shape = enc["input_ids"].shape
    tags = torch.full(shape, IGNORE)
    operators = torch.full(shape, IGNORE)
    for row, example in enumerate(examples):
        for n, side in enumerate(enc.sequence_ids(row)):
            if side != 1:
                continue
            start, end = offsets[row][n]
            span = next((s for s in example.spans if s.start < end and s.end > start), None)
            if span is None:
                tags[row, n] = IGNORE if example.partial else 0
                continue
            opens = start <= span.start or n == 0 or offsets[row][n - 1][1] <= span.start
            tags[row, n] = TAGS.index(f"{'B' if opens else 'I'}-{span.slot}")
            if span.operator is not None:
                operators[row, n] = OPERATORS.index(span.operator)
    intent = [INTENTS.index(e.intent) if e.intent else IGNORE for e in examples]
    return Batch(dict(enc), torch.tensor(intent), tags, operators)


def mixed(generator: Generator, human: list[Example], seed: int) -> Iterator[Example]:
    """Two generated turns for each human one."""
    rng = random.Random(seed)
    made = iter(generator)
    while True:
        yield next(made) if not human or rng.random() < 0.65 else rng.choice(human)


def batches(source: Iterator[Example], tokenizer: Any, size: int) -> Iterator[Batch]:
    """Batches of turns of like length, so that little is padding."""
    while True:
        pool = sorted(islice(source, size * 16), key=lambda e: len(e.text))
        groups = [pool[n : n + size] for n in range(0, len(pool), size)]
        random.Random(len(pool)).shuffle(groups)
        for group in groups:
            yield collate(tokenizer, group)


def loss_of(bert: Any, heads: Heads, batch: Batch) -> torch.Tensor:
    """Sum of the three cross-entropies over what is labelled. Scalar."""
    states = bert(**batch.inputs).last_hidden_state.float()
    out = heads(states, batch.inputs["attention_mask"])
    total = torch.zeros(())
    for logits, gold, weight in (
        (out.intent, batch.intent, 1.0),
        (out.tags.flatten(0, 1), batch.tags.flatten(), 2.0),
        (out.operators.flatten(0, 1), batch.operators.flatten(), 1.0),
    ):
        if bool((gold != IGNORE).any()):
            total = total + weight * cross_entropy(logits, gold, ignore_index=IGNORE)
    return total


@torch.inference_mode()
def measure(bert: Any, heads: Heads, tokenizer: Any, examples: list[Example]) -> Figures:
    """Figures on whole-labelled and partly labelled turns alike, over what is labelled."""
    bert.eval()
    right = seen = hits = found = true = op_right = op_seen = 0
    for start in range(0, len(examples), 64):
        group = examples[start : start + 64]
        batch = collate(tokenizer, group)
        enc = tokenize(tokenizer, [e.context for e in group], [e.text for e in group])
        out = heads(bert(**batch.inputs).last_hidden_state.float(), batch.inputs["attention_mask"])
        guess = out.intent.argmax(-1)
        known = batch.intent != IGNORE
        right += int((guess[known] == batch.intent[known]).sum())
        seen += int(known.sum())
        labelled = batch.operators != IGNORE
        op_right += int((out.operators.argmax(-1)[labelled] == batch.operators[labelled]).sum())
        op_seen += int(labelled.sum())
        offsets = enc["offset_mapping"].tolist()
        for row, example in enumerate(group):
            pieces = [n for n, s in enumerate(enc.sequence_ids(row)) if s == 1]
            spans = decode(
                out.tags[row, pieces].softmax(-1).numpy(),
                out.operators[row, pieces].softmax(-1).numpy(),
                [offsets[row][n] for n in pieces],
            )
            gold = {(s.start, s.end, s.slot) for s in example.spans}
            said = {(s.start, s.end, s.slot) for s in spans}
            if example.partial:
                said = {s for s in said if any(s[0] < g[1] and s[1] > g[0] for g in gold)}
            hits, found, true = hits + len(gold & said), found + len(said), true + len(gold)
    bert.train()
    f1 = 2 * hits / max(1, found + true)
    return Figures(right / max(1, seen), f1, op_right / max(1, op_seen), len(examples))


class Run(NamedTuple):
    """What training changes: adapters inside ``bert``, ``heads``, and how far it is."""

    bert: Any
    heads: Heads
    optimiser: torch.optim.Optimizer
    seconds: float  # of processor time spent so far
    steps: int


def start(embedder: Embedder, rate: float, work: Path | None) -> Run:
    """A network to train: fresh, or as ``work`` keeps it."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=RANK,
        lora_alpha=ALPHA,
        target_modules=["query", "value"],
        layers_to_transform=list(LAYERS),
        lora_dropout=0.05,
    )
    bert = get_peft_model(embedder.model, config)
    heads = Heads(embedder.model.config.hidden_size)
    groups = [
        {"params": [p for p in bert.parameters() if p.requires_grad], "rate": rate},
        {"params": list(heads.parameters()), "rate": 2 * rate},
    ]
    optimiser = torch.optim.AdamW(groups, lr=rate, weight_decay=0.01)
    seconds, steps = _resume(work, bert, heads, optimiser)
    return Run(bert, heads, optimiser, seconds, steps)


def train(
    run: Run, stream: Iterator[Batch], minutes: float, work: Path | None, console: Console
) -> Run:
    """Steps until ``minutes`` of processor time are spent, with a rate that falls to nothing.

    Processor time, not the clock: on a busy machine the same run learns the same.
    """
    run.bert.train()
    began, last, mean, steps = time.process_time(), time.monotonic(), 0.0, run.steps
    spent = run.seconds
    while spent < 60 * minutes:
        share = spent / (60 * minutes)
        for group in run.optimiser.param_groups:
            group["lr"] = group["rate"] * min(1.0, (steps + 1) / 50) * max(0.02, 1 - share)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(run.bert, run.heads, next(stream))
        run.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(
            [p for g in run.optimiser.param_groups for p in g["params"]], 1.0
        )
        run.optimiser.step()
        steps += 1
        mean += max(0.02, 1 / steps) * (float(loss.detach()) - mean)
        spent = run.seconds + time.process_time() - began
        if time.monotonic() - last > 30:
            console.print(f"step {steps}, {share:.0%}, loss {mean:.3f}")
            last = time.monotonic()
            _keep(work, run._replace(seconds=spent, steps=steps))
    return run._replace(seconds=spent, steps=steps)


@app.command()
def main(
    corpora: Annotated[Path, typer.Option(help="folder of open corpora (*.jsonl.gz)")],
    redial: Annotated[list[Path] | None, typer.Option(help="ReDial training files")] = None,
    names: Annotated[Path | None, typer.Option(help="ReDial film id <tab> name")] = None,
    catalog: Annotated[Path, typer.Option(help="a built catalogue")] = ROOT / "catalog/data/movies",
    out: Annotated[Path, typer.Option()] = ROOT / "models/parley-small/understander",
    work: Annotated[Path | None, typer.Option(help="folder for the resumable state")] = None,
    minutes: Annotated[float, typer.Option(min=0.05, help="of processor time")] = 15.0,
    batch: Annotated[int, typer.Option(min=1)] = 32,
    rate: Annotated[float, typer.Option(min=1e-6)] = 1e-3,
    seed: int = 0,
    threads: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Train, measure on held-out wordings and held-out human turns, save."""
    console = Console(stderr=True)
    torch.manual_seed(seed)
    embedder = Embedder(threads=threads)
    films = Catalog.open(catalog)
    human = list(read_corpora(corpora, test=False))
    for path in redial or []:
        human += list(read_redial(path, _names(names)))
    human = [e for e in human if len(e.text) <= MAX_CHARS]
    console.print(f"{len(human)} labelled human turns, generated turns without end")
    run = start(embedder, rate, work)
    made = Generator(films, test=False, seed=seed + run.steps)
    source = mixed(made, human, seed + run.steps)
    run = train(run, batches(source, embedder.tokenizer, batch), minutes, work, console)
    figures = _validate(run.bert, run.heads, embedder.tokenizer, films, corpora, seed)
    meta = {
        "lora_rank": RANK,
        "lora_scale": ALPHA / RANK,
        "lora_layers": list(LAYERS),
        "steps": run.steps,
        "seed": seed,
        "validation": figures,
    }
    save(out, run.heads, adapters_of(run.bert), meta)
    size = (out / "understander.safetensors").stat().st_size
    print(json.dumps({"steps": run.steps, "minutes": minutes, "bytes": size, **figures}))


def adapters_of(bert: Any) -> dict[str, torch.Tensor]:
    """peft's LoRA matrices under short names: "layer.0.query.a"."""
    out = {}
    for name, tensor in bert.state_dict().items():
        if "lora_A" in name or "lora_B" in name:
            parts = name.split(".")
            layer = parts[parts.index("layer") + 1]
            kind = "query" if "query" in parts else "value"
            out[f"layer.{layer}.{kind}.{'a' if 'lora_A' in name else 'b'}"] = tensor
    return out


def _validate(
    bert: Any, heads: Heads, tokenizer: Any, films: Catalog, corpora: Path, seed: int
) -> dict[str, dict[str, float]]:
    made = list(islice(iter(Generator(films, test=True, seed=seed)), 1_000))
    told = list(read_corpora(corpora, test=True))
    random.Random(seed).shuffle(told)
    sets = {"held_out_patterns": made, "held_out_human": told[:1_000]}
    return {
        k: {a: round(b, 4) for a, b in measure(bert, heads, tokenizer, v)._asdict().items()}
        for k, v in sets.items()
    }


def _names(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    rows = (line.split("\t") for line in path.read_text("utf-8").splitlines()[1:])
    return {r[0]: r[1] for r in rows if len(r) > 1}


def _keep(work: Path | None, run: Run) -> None:
    if work is None:
        return
    work.mkdir(parents=True, exist_ok=True)
    state = {
        "lora": adapters_of(run.bert),
        "heads": run.heads.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "seconds": run.seconds,
        "steps": run.steps,
    }
    torch.save(state, work / "state.tmp")
    (work / "state.tmp").replace(work / "state.pt")


def _resume(
    work: Path | None, bert: Any, heads: Heads, optimiser: torch.optim.Optimizer
) -> tuple[float, int]:
    if work is None or not (work / "state.pt").exists():
        return 0.0, 0
    state = torch.load(work / "state.pt", weights_only=True)
    heads.load_state_dict(state["heads"])
    optimiser.load_state_dict(state["optimiser"])
    mine = adapters_of(bert)
    with torch.no_grad():
        for name, tensor in state["lora"].items():
            mine[name].copy_(tensor)
    return float(state["seconds"]), int(state["steps"])


if __name__ == "__main__":
    app()
