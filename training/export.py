"""Put a fine-tuned model into its released form: one folder that transformers and vLLM load.

The code rows of one catalogue are materialised into the ordinary embedding table, weights
go to bf16 safetensors in files that any git host takes, and the model card is written from
the reports of the runs. The projection stays beside them, so that another catalogue's rows
can be made later: run this again with that catalogue.

    python -m training.export --model RUN/model --catalog catalog/data/movies \
        --out models/parley-small --report pretraining=LOG --report fine-tuning=LOG \
        --corpus-stats CORPUS/stats.json --figures FIGURES.json
"""

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from jinja2 import Environment, StrictUndefined
from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from catalog.items import Catalog
from tools.small_model import PROJECTION_FILE, LoadedModel, load_small
from tools.tokens import SID_TOKENS, SPECIAL

CARD = Path(__file__).parent / "configs" / "model_card.md"
MAX_TOTAL = 30_000_000
MAX_FILE = 16_000_000


def last_json(path: Path) -> dict[str, Any]:
    """The last line of a run's output, or a whole JSON file.

    Raises:
        ValueError: neither is a JSON object.
    """
    text = path.read_text(encoding="utf-8").strip()
    for candidate in (text, text.splitlines()[-1] if text else ""):
        try:
            found = json.loads(candidate)
        except json.JSONDecodeError:
            continue
        if isinstance(found, dict):
            return found
    raise ValueError(f"{path} does not end with a JSON object; give the output of a finished run")


def write_weights(loaded: LoadedModel, centroids: np.ndarray, source: Path, out: Path) -> None:
    """Bind the catalogue's code rows, then write bf16 shards, tokenizer and projection."""
    loaded.bind(centroids)
    for old in out.glob("model*.safetensors*"):
        old.unlink()  # a former export may have had other shards
    loaded.model.to(torch.bfloat16).save_pretrained(out, max_shard_size="15MB")
    loaded.tokenizer.save_pretrained(out)
    shutil.copyfile(source / PROJECTION_FILE, out / PROJECTION_FILE)


def check_sizes(folder: Path) -> int:
    """Bytes of the folder's files.

    Raises:
        ValueError: a file or the whole is over the limit of the repository.
    """
    sizes = {p.name: p.stat().st_size for p in folder.iterdir() if p.is_file()}
    name, largest = max(sizes.items(), key=lambda kv: kv[1])
    total = sum(sizes.values())
    if largest > MAX_FILE or total > MAX_TOTAL:
        raise ValueError(
            f"{folder} has {total:,} bytes, {largest:,} of them in {name}; at most {MAX_TOTAL:,} "
            f"and {MAX_FILE:,} a file are released: train a smaller --size"
        )
    return total


def render_card(loaded: LoadedModel, total: int, **parts: Any) -> str:
    """The model card as markdown; ``parts`` are catalog, reports, corpus and figures."""
    environment = Environment(undefined=StrictUndefined, autoescape=False, trim_blocks=False)
    text = environment.from_string(CARD.read_text(encoding="utf-8")).render(
        parameters=sum(p.numel() for p in loaded.model.parameters()),
        total_mb=total / 1e6,
        config=loaded.model.config,
        specials=len(SPECIAL),
        sid_tokens=len(SID_TOKENS),
        **parts,
    )
    return text.rstrip() + "\n"


def main(
    model: Annotated[Path, typer.Option(help="folder of the fine-tuned model")],
    catalog: Annotated[Path, typer.Option(help="built catalogue whose code rows it gets")],
    out: Annotated[Path, typer.Option(help="folder to write")],
    report: Annotated[list[str] | None, typer.Option(help="NAME=FILE, last line JSON")] = None,
    corpus_stats: Annotated[Path | None, typer.Option(help="stats.json of the corpus")] = None,
    figures: Annotated[Path | None, typer.Option(help="JSON: what -> value")] = None,
) -> None:
    """Write the released folder; the last line is JSON."""
    disable_progress_bar()
    reports = dict(pair.split("=", 1) for pair in report or [])
    loaded = load_small(model)
    out.mkdir(parents=True, exist_ok=True)
    write_weights(loaded, Catalog.open(catalog).codebooks, model, out)
    card = render_card(
        loaded,
        check_sizes(out),
        catalog=catalog.name,
        reports={name: last_json(Path(path)) for name, path in reports.items()},
        corpus=last_json(corpus_stats) if corpus_stats else None,
        figures=last_json(figures) if figures else None,
    )
    (out / "README.md").write_text(card, encoding="utf-8")
    total = check_sizes(out)
    Console(stderr=True).print(f"{total / 1e6:.1f} MB in {out}")
    print(json.dumps({"bytes": total, "files": sorted(p.name for p in out.iterdir())}))


if __name__ == "__main__":
    typer.run(main)
