"""Load parley-small once; the slate decoder and the talker share the one object.

The folder is an ordinary transformers one (Qwen3 weights, fast tokenizer), so the same
files serve vLLM. Beside them lies ``sid_projection.safetensors``: the learnt map from
codebook centroids to rows, from which the rows of any other catalogue are made
(``tools.sid_rows``); ``bind`` puts a catalogue's own rows into the loaded table.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM
from transformers.utils.logging import disable_progress_bar

from catalog.errors import ParleyError
from tools.sid_rows import SidRows, materialise
from tools.tokens import CODES, EOS, PAD, SID_TOKENS, SPECIAL

PROJECTION_FILE = "sid_projection.safetensors"


class ModelError(ParleyError):
    """A model folder is missing, incomplete, or speaks another vocabulary."""


@dataclass(frozen=True)
class LoadedModel:
    """Weights, tokenizer and ids that every decoder needs.

    ``sid_base`` is the id of the first code token: level ``l``, code ``i`` has the id
    ``sid_base + 256 * l + i``. ``projection`` is None for a model trained without.
    """

    model: Qwen3ForCausalLM
    tokenizer: PreTrainedTokenizerFast
    projection: SidRows | None
    sid_base: int
    eos: int
    pad: int

    def encode(self, text: str) -> list[int]:
        """Ids of a prompt; special tokens written literally become their own ids."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def sid_ids(self, codes: npt.ArrayLike) -> list[int]:
        """Token ids of items' codes, flat. Shape of ``codes``: (..., 3)."""
        table = np.asarray(codes, dtype=np.int64)
        ids: npt.NDArray[np.int64] = self.sid_base + CODES * np.arange(table.shape[-1]) + table
        return [int(i) for i in ids.ravel()]

    def bind(self, centroids: npt.ArrayLike) -> None:
        """Write the code rows of one catalogue into the table. Shape: (3, 256, 384).

        Raises:
            ModelError: the model has no projection to make rows with.
        """
        if self.projection is None:
            raise ModelError(
                f"the model has no {PROJECTION_FILE}, so its code rows fit one catalogue only; "
                "export it again with training.export"
            )
        rows = materialise(self.projection, centroids)
        with torch.no_grad():
            table: Tensor = self.model.lm_head.weight  # tied: the input table too
            table[self.sid_base : self.sid_base + len(rows)] = rows.to(table.dtype)


def load_small(model_dir: Path, *, dtype: torch.dtype = torch.float32) -> LoadedModel:
    """Read a model folder written by ``training.export``.

    float32 by default: one decoding step of the 13 M parameters takes 7 ms in float32 and
    10 ms in bf16 on a core that has bf16 instructions; only long prompts gain from bf16.

    Raises:
        ModelError: files are missing, or the special tokens are not this version's.
    """
    for name in ("config.json", "tokenizer.json"):
        if not (model_dir / name).is_file():
            raise ModelError(
                f"{model_dir} has no {name}; give the folder of a model written by "
                "`python -m training.export`"
            )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model_dir)
    vocabulary = tokenizer.get_vocab()
    ids = [vocabulary.get(token, -1) for token in SPECIAL]
    if ids != list(range(len(tokenizer) - len(SPECIAL), len(tokenizer))):
        raise ModelError(
            f"the tokenizer in {model_dir} does not end with the {len(SPECIAL)} special tokens "
            "of tools.tokens in order; train it with this version of training.tokenizer"
        )
    disable_progress_bar()  # type: ignore[no-untyped-call]  # 30 ms need no bar
    model = Qwen3ForCausalLM.from_pretrained(model_dir, dtype=dtype)
    model.train(False).requires_grad_(False)
    path = model_dir / PROJECTION_FILE
    projection = SidRows.from_tensors(load_file(path)) if path.is_file() else None
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        projection=projection,
        sid_base=vocabulary[SID_TOKENS[0]],
        eos=vocabulary[EOS],
        pad=vocabulary[PAD],
    )
