"""Each idea of the slate role switched off once, at serving: what does the slate lose?

    python -m training.ablate --model models/parley-small --catalog DIR --prompts DIR

Held-out conversations of ``training.rl_prompts``, decoded as the chat decodes. Off are: the
retrieval prior (alpha 0 and 1/2), the language model (strength 0 and 1/2), the candidates, the
query codes, the liked and disliked codes, the conversation's words, and the tie between code
rows and centroids (rows of each level dealt out anew). ``--against DIR`` adds prompts made
another way, such as with titles in place of ``<m1>`` (``rl_prompts --lexical``). The model was
trained with everything on, so this is the loss at serving, not that of a model trained without.
Differences are paired over conversations. The last line is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import torch
import typer
from rich.console import Console

from catalog.errors import ParleyError
from catalog.items import Catalog
from tools import tokens
from tools.slate_decoder import InProcessSlates, SlateRequest
from tools.small_model import LoadedModel, load_small
from training.rl_prompts import Prompts, codes_fingerprint
from training.slate_eval import Slates, paired, prior_slates

BATCH: Final = 24
LISTED: Final = 10
console = Console(stderr=True)


def without(ids: Sequence[int], block: int, starts: set[int]) -> list[int]:
    """A prompt without one block: its opening token and all up to the next block's."""
    out, inside = [], False
    for token in ids:
        if token in starts:
            inside = token == block
        if not inside:
            out.append(int(token))
    return out


def decoded(
    engine: InProcessSlates,
    prompts: Prompts,
    popularity: Any,
    change: Callable[[list[int]], list[int]],
    *,
    alpha: float,
    beam: int,
) -> Slates:
    """Slates of all prompts, each prompt's ids changed first."""
    ranks: list[list[int]] = []
    written = valid = 0
    for start in range(0, len(prompts), BATCH):
        block = [prompts[k] for k in range(start, min(start + BATCH, len(prompts)))]
        asked = [
            SlateRequest(
                change(prompt.ids.tolist()), prompt.weights(popularity), LISTED, alpha, beam
            )
            for prompt in block
        ]
        for prompt, request, slate in zip(block, asked, engine.slates(asked), strict=True):
            place = {row: k for k, row in enumerate(slate.rows)}
            ranks.append([place.get(int(t), -1) for t in prompt.targets])
            written += len(place)
            valid += sum(request.weights[row] > 0 for row in place)
    return Slates(ranks, written, valid)


def untied(loaded: LoadedModel, seed: int = 0) -> None:
    """Deal the code rows of each level out anew: a code no longer says where its centroid is."""
    generator = torch.Generator().manual_seed(seed)
    table = loaded.model.lm_head.weight
    with torch.no_grad():
        for level in range(len(tokens.SID_TOKENS) // tokens.CODES):
            first = loaded.sid_base + tokens.CODES * level
            order = torch.randperm(tokens.CODES, generator=generator)
            table[first : first + tokens.CODES] = table[first : first + tokens.CODES][order]


def row(name: str, found: Slates, full: Slates) -> dict[str, Any]:
    """One line of the table."""
    return {
        "off": name,
        **found.figures(),
        "recall": paired(found.recall(LISTED), full.recall(LISTED)),
        "ndcg": paired(found.ndcg(LISTED), full.ndcg(LISTED)),
    }


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| off | R@5 | R@10 | NDCG@10 | valid | R@10 minus all on | NDCG@10 minus all on |",
        "|-|-|-|-|-|-|-|",
    ]
    for one in rows:
        cells = [f"{one[k]:.4f}" for k in ("R@5", "R@10", "NDCG@10", "valid")]
        gaps = ["{:+.4f} ({:+.4f} ... {:+.4f})".format(*one[k]) for k in ("recall", "ndcg")]
        lines.append(f"| {one['off']} | {' | '.join([*cells, *gaps])} |")
    return "\n".join(lines)


def main(
    model: Annotated[Path, typer.Option(help="parley-small")],
    catalog: Annotated[Path, typer.Option(help="built catalogue")],
    prompts: Annotated[Path, typer.Option(help="folder of training.rl_prompts")],
    against: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER, other prompts")] = None,
    held: Annotated[int, typer.Option(help="held-out prompts")] = 600,
    alpha: Annotated[float, typer.Option(help="strength of the prior, all on")] = 1.0,
    strength: Annotated[float, typer.Option(help="of the model's logits, all on")] = 0.5,
    beam: Annotated[int, typer.Option(help="beams of the slate decoder")] = 4,
    only: Annotated[str, typer.Option(help="these lines of the table, with commas")] = "",
) -> None:
    """Measure every variant; prints markdown, the last line is JSON."""
    torch.set_num_threads(1)
    try:
        opened = Catalog.open(catalog)
        mark = codes_fingerprint(opened)
        made = Prompts.load(prompts / "valid.npz", mark).first(held)
        others = {
            name: Prompts.load(Path(folder) / "valid.npz", mark).first(held)
            for name, folder in (pair.split("=", 1) for pair in against or [])
        }
        loaded = load_small(model)
        loaded.bind(opened.codebooks)
    except ParleyError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    names = {
        "candidates": tokens.CANDIDATES,
        "query codes": tokens.QUERY,
        "liked codes": tokens.LIKED,
        "disliked codes": tokens.DISLIKED,
        "words of the conversation": tokens.CONVERSATION,
    }
    ids = {name: int(loaded.tokenizer.convert_tokens_to_ids(t)) for name, t in names.items()}
    starts = {*ids.values(), int(loaded.tokenizer.convert_tokens_to_ids(tokens.OUT))}
    engine = InProcessSlates(loaded, opened.mask, lm_scale=strength)

    def run(
        change: Callable[[list[int]], list[int]] = list,
        own: Prompts = made,
        prior: float = alpha,
        scale: float = strength,
    ) -> Slates:
        engine.lm_scale = scale
        return decoded(engine, own, opened.popularity, change, alpha=prior, beam=beam)

    full = run()
    rows = [row("nothing", full, full)]
    variants: list[tuple[str, Callable[[], Slates]]] = [
        (
            "language model: the prior's own order",
            lambda: prior_slates(made, range(len(made)), LISTED),
        ),
        ("language model: strength 0", lambda: run(scale=0.0)),
        ("strength 1", lambda: run(scale=1.0)),
        ("prior (alpha 0)", lambda: run(prior=0.0)),
        ("prior at 1/2", lambda: run(prior=0.5)),
        ("prior at 2", lambda: run(prior=2.0)),
        ("language model: strength 0 and prior at 2", lambda: run(prior=2.0, scale=0.0)),
        *(
            (name, lambda block=block: run(lambda own: without(own, block, starts)))
            for name, block in ids.items()
        ),
        *((name, lambda own=own: run(own=own)) for name, own in others.items()),
    ]
    wanted = {part.strip() for part in only.split(",") if part.strip()}
    for name, make in variants:
        if wanted and name not in wanted:
            continue
        rows.append(row(name, make(), full))
        console.print(rows[-1])
    if not wanted or "tie of rows and centroids" in wanted:
        untied(loaded)
        rows.append(row("tie of rows and centroids", run(), full))
    print(markdown(rows))
    print(json.dumps({"n": len(made), "alpha": alpha, "strength": strength, "rows": rows}))


if __name__ == "__main__":
    typer.run(main)
