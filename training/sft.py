"""Teach the pretrained parley-small its two roles at once: write replies, order slates.

Text rows: cross-entropy on the completion. Slate rows: on each level's 256 codes, the
cross-entropy of ``logits + alpha * log(prior mass)``, so the model learns only what the
retrieval prior does not know already. Code rows are tied to centroids (tools.sid_rows) and
rows come in several codebooks, so codes are read, not memorised. Validation prints the
slate loss of the prior alone beside the model's: the difference is what the model adds.

    OMP_NUM_THREADS=1 python -m training.sft --model DIR/pretrain/model --rows DIR \
        --codebooks FILE.npy --out DIR --minutes 45 --workers 2

With ``--dialogues`` it learns from simulated conversations, alone or beside the rows of a folder
(``training.dialogue_rows``: which of them, and what of them).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM
from transformers.utils.logging import disable_progress_bar

from catalog.errors import ParleyError
from catalog.items import Catalog
from tools.sid_rows import SidRows
from tools.small_model import PROJECTION_FILE
from tools.tokens import CODES
from training import dialogue_rows
from training.loop import Batch, Optimiser, Part, Trainer, console, pick_device, run
from training.sft_data import (
    MAX_VALIDATION,
    Ids,
    Plan,
    SlateBatch,
    Task,
    TextBatch,
    length_buckets,
    make_batch,
    read_tasks,
)

FILMS = Path(__file__).parent.parent / "catalog" / "data" / "movies"
DEFAULT_CONFIG = Path(__file__).parent / "configs" / "sft.yaml"
#: The code rows start at random while all else is pretrained: they take larger steps.
SID_RATE = 5.0


class TwoRoles(nn.Module):
    """The language model, the map to code rows, and the codebooks rows are written in.

    ``codebooks``: (K, 3, 256, width) float32; not a parameter.
    """

    def __init__(
        self, lm: Qwen3ForCausalLM, sid: SidRows, codebooks: Tensor, ids: Ids, alpha: float
    ) -> None:
        super().__init__()
        self.lm, self.sid, self.ids, self.alpha = lm, sid, ids, alpha
        self.register_buffer("codebooks", codebooks, persistent=False)

    def loss(self, batch: TextBatch | SlateBatch) -> Tensor:
        """Mean loss in nats: per completion token, or per code of a target."""
        device = self.codebooks.device
        moved = type(batch)(*(t.to(device) for t in batch))
        with torch.autocast(device.type, dtype=torch.bfloat16):
            if isinstance(moved, TextBatch):
                return self._text_loss(moved)
            return self._slate_loss(moved)

    def _text_loss(self, batch: TextBatch) -> Tensor:
        hidden = self.lm.model(batch.tokens, use_cache=False).last_hidden_state
        counted = batch.labels >= 0
        # Only words and slots can follow words: the code block stays out of the softmax.
        logits = hidden[counted] @ self.lm.lm_head.weight[: self.ids.sid_base].T
        return cross_entropy(logits.float(), batch.labels[counted])

    def _slate_loss(self, batch: SlateBatch) -> Tensor:
        used, own = batch.codebook.unique(return_inverse=True)
        rows = self.sid(self.codebooks[used])  # (U, 768, H)
        table = self.lm.get_input_embeddings().weight
        code = (batch.tokens - self.ids.sid_base).clamp(min=0)
        embedded = torch.where(
            (batch.tokens >= self.ids.sid_base)[..., None],
            rows[own[:, None], code],
            table[batch.tokens],
        )
        hidden = self.lm.model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        places = batch.place[:, None] + torch.arange(3, device=batch.place.device)
        states = hidden[batch.row[:, None], places]  # (T, 3, H)
        levels = rows.unflatten(1, (3, CODES))[own[batch.row]]  # (T, 3, 256, H)
        logits = torch.einsum("tlh,tlch->tlc", states, levels.to(states.dtype)).float()
        logits = logits + self.alpha * batch.logmass
        return cross_entropy(logits.flatten(0, 1), batch.codes.flatten())

    def save(self, folder: Path) -> None:
        """The language model as a transformers folder, the projection beside it."""
        self.lm.save_pretrained(folder)
        save_file(
            {k: v.detach().float().cpu().contiguous() for k, v in self.sid.state_dict().items()},
            folder / PROJECTION_FILE,
        )


def prior_loss(batch: SlateBatch, alpha: float) -> Tensor:
    """The slate loss of a model that knows nothing: the prior alone."""
    return cross_entropy((alpha * batch.logmass).flatten(0, 1), batch.codes.flatten())


def split_rows(rows: list[Any], workers: int) -> list[list[Any]]:
    """Rows dealt to workers (length-sorted rows stay evenly spread); fewer lists if few rows."""
    return [part for part in (rows[k::workers] for k in range(workers)) if part]


def weigh(batch: TextBatch | SlateBatch) -> int:
    """Number of places whose loss counts."""
    if isinstance(batch, TextBatch):
        return int((batch.labels >= 0).sum())
    return 3 * len(batch.row)


def batches_of(plan: Plan, ids: Ids, workers: int) -> Callable[[int], Batch]:
    """Step -> batch, split over the workers by rows, weighted by counted places."""

    def batches(step: int) -> Batch:
        task, rows = plan(step)
        made = [make_batch(part, ids) for part in split_rows(rows, workers)]
        total = sum(map(weigh, made))
        return Batch(task.name, [Part(batch, weigh(batch) / total) for batch in made])

    return batches


@torch.no_grad()
def validate(model: TwoRoles, tasks: list[Task], ids: Ids, budget: int) -> dict[str, float]:
    """Held-out loss of every task; for slates the prior's own beside it (``<name>_prior``)."""
    figures: dict[str, float] = {}
    for task in tasks:
        rows = [task.valid[i] for i in range(min(len(task.valid), MAX_VALIDATION))]
        if not rows:
            continue
        sums: dict[str, float] = {}
        places = 0
        for indices in length_buckets(np.array([r.length for r in rows]), budget, None):
            batch = make_batch([rows[i] for i in indices], ids)
            n = weigh(batch)
            places += n
            sums[task.name] = sums.get(task.name, 0.0) + n * float(model.loss(batch))
            if isinstance(batch, SlateBatch):
                name = f"{task.name}_prior"
                sums[name] = sums.get(name, 0.0) + n * float(prior_loss(batch, model.alpha))
        figures |= {name: value / places for name, value in sums.items()}
    return figures


def load_model(
    folder: Path, codebooks: Path | None, alpha: float, ids: Ids, fresh_codes: bool
) -> TwoRoles:
    """The model to start from; its projection is kept if it has one.

    Raises:
        ValueError: the codebooks are not (K, 3, 256, width).
    """
    lm = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    books = np.zeros((1, 3, CODES, 384), np.float32) if codebooks is None else np.load(codebooks)
    if books.ndim != 4 or books.shape[1:3] != (3, CODES):
        raise ValueError(f"{codebooks} has shape {books.shape}; (K, 3, {CODES}, width) is needed")
    path = folder / PROJECTION_FILE
    if path.is_file() and not fresh_codes:
        sid = SidRows.from_tensors(load_file(path)).requires_grad_(True)
    else:
        sid = SidRows(lm.config.hidden_size, books.shape[3])
    return TwoRoles(lm, sid, torch.from_numpy(books.astype(np.float32)), ids, alpha)


def with_dialogues(
    tasks: list[Task],
    dialogues: list[dialogue_rows.Spoken],
    catalog: Catalog,
    tokenizer: PreTrainedTokenizerFast,
    codebooks: Path | None,
    out: Path,
    *,
    ranker: Path,
    weight: float,
) -> tuple[list[Task], Path]:
    """The tasks and the dialogues' own, and the file of codebooks that all of them are in.

    Raises ``ParleyError``: a weight outside 0..1, no row to train on, or codebooks of which the
    first is not this catalogue's (dialogue rows are written in the catalogue's codes).
    """
    if not 0 < weight <= 1:
        raise ParleyError(f"--dialogue-weight {weight:g} is no share: give 0 to 1, above 0.")
    if codebooks is None:
        out.mkdir(parents=True, exist_ok=True)
        codebooks = out / "codebooks.npy"
        np.save(codebooks, catalog.codebooks[None].astype(np.float32))
    elif not np.allclose(np.load(codebooks, mmap_mode="r")[0], catalog.codebooks, atol=1e-3):
        raise ParleyError(
            f"The first of {codebooks} is not the catalogue's: make rows and codebooks for the "
            "catalogue that the dialogues talk about (training.make_slate_rows)."
        )
    source = ranker if ranker.is_file() else dialogue_rows.RANKER
    made = dialogue_rows.tasks(
        dialogues, catalog, tokenizer, ranker=source, weight=weight if tasks else 1.0
    )
    total = sum(task.weight for task in tasks)
    for task in tasks:
        task.weight *= (1 - weight) / total
    return [t for t in tasks if t.weight > 0] + made, codebooks


def main(
    model: Annotated[Path, typer.Option(help="folder of the pretrained model")],
    out: Annotated[Path, typer.Option(help="folder of the run; resumed if it exists")],
    rows: Annotated[Path | None, typer.Option(help="folder of the row files")] = None,
    dialogues: Annotated[
        list[Path] | None, typer.Option(help="JSON lines of evals.simulate; may be repeated")
    ] = None,
    catalog: Annotated[Path, typer.Option(help="the catalogue they talk about")] = FILMS,
    outcomes: Annotated[
        str, typer.Option(help="dialogues that teach: accepted, success, ..., comma between")
    ] = "accepted",
    verdicts: Annotated[Path | None, typer.Option(help="--out file of evals.judge")] = None,
    min_judge: Annotated[float | None, typer.Option(help="least mean score by --verdicts")] = None,
    dialogue_weight: Annotated[
        float, typer.Option(help="share of the steps beside --rows, 0 to 1")
    ] = 0.3,
    allow_bad: Annotated[bool, typer.Option(help="leave malformed dialogues out")] = False,
    codebooks: Annotated[Path | None, typer.Option(help=".npy (K, 3, 256, width)")] = None,
    config: Annotated[Path, typer.Option(help="tasks and weights (YAML)")] = DEFAULT_CONFIG,
    minutes: Annotated[float, typer.Option(help="training time; the schedule follows it")] = 45,
    steps: Annotated[int | None, typer.Option(help="stop after this many steps, if sooner")] = None,
    tokens: Annotated[int, typer.Option(help="tokens of a batch, padding counted")] = 3072,
    lr: Annotated[float, typer.Option(help="peak learning rate")] = 3e-4,
    muon: Annotated[bool, typer.Option(help="Muon for the layer matrices")] = True,
    fresh_codes: Annotated[bool, typer.Option(help="forget a projection learnt before")] = False,
    checkpoint_seconds: Annotated[float, typer.Option(help="seconds between checkpoints")] = 180,
    seed: Annotated[int, typer.Option()] = 13,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    workers: Annotated[int, typer.Option(help="threads that share a batch")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="the same for one minute")] = False,
) -> None:
    """Fine-tune within the budget; the last line is JSON."""
    disable_progress_bar()
    torch.manual_seed(seed)
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    ids = Ids.of(tokenizer)
    try:
        tasks = read_tasks(settings, rows, tokenizer) if rows else []
        if dialogues:
            choose = dialogue_rows.Filter(tuple(outcomes.split(",")), min_judge, verdicts)
            tasks, codebooks = with_dialogues(
                tasks,
                dialogue_rows.kept(dialogue_rows.read(dialogues, allow_bad=allow_bad), choose),
                Catalog.open(catalog),
                tokenizer,
                codebooks,
                out,
                ranker=model / "ranker.npz",
                weight=dialogue_weight,
            )
        if not tasks:
            raise ParleyError("Nothing to learn from: give --rows, --dialogues or both.")
    except ParleyError as error:
        typer.echo(f"sft: {error}", err=True)
        raise typer.Exit(2) from error
    for task in tasks:
        console.print(f"{task.name}: {len(task.train)} rows, {len(task.valid)} held out")
    roles = load_model(model, codebooks, float(settings.get("alpha", 1.0)), ids, fresh_codes)
    roles.to(pick_device(device))
    trainer = Trainer(
        roles,
        roles.loss,
        lambda folder: (roles.save(folder), tokenizer.save_pretrained(folder)),
        out,
        Optimiser(lr, muon, scales=(("sid.", SID_RATE),)),
        workers,
    )
    trainer.resume()
    report = run(
        trainer,
        batches_of(Plan(tasks, tokens, seed), ids, workers),
        lambda: validate(roles, tasks, ids, tokens),
        minutes=1 if dry_run else minutes,
        max_steps=steps,
        every=checkpoint_seconds,
    )
    print(json.dumps(report))


if __name__ == "__main__":
    typer.run(main)
