"""The understander's network: MiniLM with low-rank adapters and three heads.

One pass over "[CLS] what the agent did [SEP] what the person said [SEP]" gives the turn's
intent, and for every word piece a slot (BIO) and an operator ("wanted", "excluded",
"loved"...). Released are the adapters and heads alone (under a megabyte): they are merged
into a copy of the MiniLM that embeds items anyway, so a turn costs one forward pass.
Trained by ``training.understander``; read by ``agent.encoder``.
"""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from catalog.errors import ParleyError

if TYPE_CHECKING:
    from catalog.embed import Embedder

SLOTS: Final = ("title", "person", "category", "place", "scale", "number", "about", "ref", "facet")
OPERATORS: Final = (
    "want", "not", "like", "dislike", "seen", "similar", "min", "max", "retract", "ask", "accept",
)  # fmt: skip
INTENTS: Final = (
    "greet", "recommend", "more", "critique", "answer", "ask_fact", "ask_why", "compare", "accept",
    "reject", "relax", "undo", "reset", "thanks", "bye", "help", "chat",
)  # fmt: skip
TAGS: Final = ("O", *(f"{side}-{slot}" for slot in SLOTS for side in "BI"))
MAX_TOKENS: Final = 96  # of a turn with its context; what follows is left to the rules
FORMAT: Final = 1


class EncoderError(ParleyError):
    """The understander's weights are missing or of another format."""


class Span(NamedTuple):
    """Characters ``[start, end)`` of the turn, what they are, and how they are meant."""

    start: int
    end: int
    slot: str
    operator: str
    score: float  # least probability of its pieces' tags
    sure: float  # probability of the operator, mean over its pieces


class Outputs(NamedTuple):
    """Logits. Shapes: intent ``(B, 17)``, tags ``(B, T, 19)``, operators ``(B, T, 11)``."""

    intent: torch.Tensor
    tags: torch.Tensor
    operators: torch.Tensor


class Heads(nn.Module):
    """Linear heads on the encoder's states. ``width`` is the encoder's hidden size."""

    def __init__(self, width: int = 384) -> None:
        super().__init__()
        self.intent = nn.Linear(2 * width, len(INTENTS))
        self.tags = nn.Linear(width, len(TAGS))
        self.operators = nn.Linear(width, len(OPERATORS))

    def forward(self, states: torch.Tensor, attention: torch.Tensor) -> Outputs:
        """``states`` ``(B, T, width)``, ``attention`` ``(B, T)`` of 0/1 -> logits."""
        weight = attention.unsqueeze(-1).to(states.dtype)
        mean = (states * weight).sum(1) / weight.sum(1).clamp(min=1)
        pooled = torch.cat([states[:, 0], mean], dim=-1)
        return Outputs(self.intent(pooled), self.tags(states), self.operators(states))


def tokenize(tokenizer: Any, contexts: Sequence[str], texts: Sequence[str]) -> Any:
    """Pairs to padded tensors with offsets; the context is never cut, the text is."""
    return tokenizer(
        list(contexts), list(texts), truncation="only_second", max_length=MAX_TOKENS,
        padding=True, return_tensors="pt", return_offsets_mapping=True,
    )  # fmt: skip


def save(
    folder: Path, heads: Heads, adapters: dict[str, torch.Tensor], config: dict[str, Any]
) -> None:
    """Write ``understander.safetensors`` (half precision) and ``config.json``.

    ``adapters``: "layer.0.query.a" ``(rank, 384)`` and "….b" ``(384, rank)``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"heads.{k}": v for k, v in heads.state_dict().items()}
    tensors |= {f"lora.{k}": v for k, v in adapters.items()}
    half = {k: v.detach().to(torch.float16).contiguous().clone() for k, v in tensors.items()}
    save_file(half, folder / "understander.safetensors")
    labels = {"format": FORMAT, "intents": INTENTS, "slots": SLOTS, "operators": OPERATORS}
    text = json.dumps({**labels, **config}, indent=1, ensure_ascii=False)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


class TurnEncoder:
    """Reads turns. ``load`` once; ``read`` is thread-safe (no state is kept)."""

    def __init__(self, bert: Any, heads: Heads, tokenizer: Any) -> None:
        self.bert = bert.eval()
        self.heads = heads.eval()
        self.tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path, embedder: "Embedder") -> "TurnEncoder":
        """Merge the adapters into a copy of the embedder's MiniLM.

        Raises:
            EncoderError: no weights at ``folder``, or labels other than this code's.
        """
        weights, config_file = folder / "understander.safetensors", folder / "config.json"
        if not weights.is_file() or not config_file.is_file():
            raise EncoderError(
                f"No understander at {folder}: restore it from the repository, train it with "
                "`python -m training.understander`, or set PARLEY_UNDERSTANDER=rules."
            )
        config = json.loads(config_file.read_text("utf-8"))
        mine = (FORMAT, list(INTENTS), list(SLOTS), list(OPERATORS))
        theirs = tuple(config.get(k) for k in ("format", "intents", "slots", "operators"))
        if theirs != mine:
            raise EncoderError(
                f"{folder} holds labels other than this version's: retrain it with "
                "`python -m training.understander`."
            )
        tensors = {k: v.float() for k, v in load_file(weights).items()}
        bert = copy.deepcopy(embedder.model)
        merge(bert, tensors, float(config["lora_scale"]))
        heads = Heads(bert.config.hidden_size)
        heads.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("heads.")})
        return cls(bert, heads, embedder.tokenizer)

    def read(self, context: str, text: str) -> tuple[dict[str, float], list[Span]]:
        """Intent probabilities and spans of one turn. About 8 ms a short turn on one thread."""
        batch = tokenize(self.tokenizer, [context], [text])
        offsets = batch.pop("offset_mapping")[0].tolist()
        second = [s == 1 for s in batch.sequence_ids(0)]
        with torch.inference_mode():
            states = self.bert(**batch).last_hidden_state
            out = self.heads(states, batch["attention_mask"])
        probabilities = torch.softmax(out.intent[0], -1).tolist()
        tags = torch.softmax(out.tags[0], -1).numpy()
        operators = torch.softmax(out.operators[0], -1).numpy()
        pieces = [n for n, inside in enumerate(second) if inside]
        spans = decode(tags[pieces], operators[pieces], [offsets[n] for n in pieces])
        return dict(zip(INTENTS, probabilities, strict=True)), spans


def merge(bert: Any, tensors: dict[str, torch.Tensor], scale: float) -> None:
    """Add ``scale * B @ A`` to the query and value projections, in place (LoRA, Hu et al. 2021)."""
    with torch.no_grad():
        for key, a in tensors.items():
            if key.startswith("lora.") and key.endswith(".a"):
                _, _, n, name, _ = key.split(".")  # lora.layer.3.query.a
                attention = bert.encoder.layer[int(n)].attention.self
                getattr(attention, name).weight += scale * (tensors[key[:-1] + "b"] @ a)


def decode(tags: np.ndarray, operators: np.ndarray, offsets: Sequence[Sequence[int]]) -> list[Span]:
    """BIO and operator probabilities ``(T, 19)``, ``(T, 11)`` to spans; a lone "I" opens one."""
    spans: list[Span] = []
    best = tags.argmax(-1).tolist()
    start = 0
    while start < len(best):
        label = TAGS[best[start]]
        if label == "O":
            start += 1
            continue
        slot = label[2:]
        stop = start + 1
        while stop < len(best) and (
            TAGS[best[stop]] == f"I-{slot}"
            or (offsets[stop][0] == offsets[stop - 1][1] and TAGS[best[stop]] != "O")
        ):
            stop += 1
        mean = operators[start:stop].mean(0)
        score = float(min(tags[n, best[n]] for n in range(start, stop)))
        spans.append(
            Span(
                offsets[start][0],
                offsets[stop - 1][1],
                slot,
                OPERATORS[int(mean.argmax())],
                score,
                float(mean.max()),
            )
        )
        start = stop
    return spans
