"""Any Hugging Face causal LM as a recommender: its code tokens, its adapter, its size.

A general LLM learns semantic IDs as new tokens. Their rows start where the catalogue's
centroids say: the centroid vectors through one random projection, at the spread of the rows
that the model has, so that alike codes start alike (the same idea as ``tools.sid_rows``). With
an adapter only these rows and the low-rank matrices are trained; ``merged`` gives ordinary
weights back, which is what vLLM serves.

``shrunk`` makes a model of the same architecture with random weights, for dry runs without
hub or GPU: same code, same modules, a thousandth of the size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.errors import ParleyError
from tools.tokens import CODES, SID_TOKENS, SPECIAL

Form = Literal["codes", "titles"]
#: What a dry run's model keeps of its architecture.
SMALL: Final = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 2048,
}


class FinetuneError(ParleyError):
    """A config or model that cannot be fine-tuned: which field, what would do."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Architecture(Strict):
    """What the estimate and the dry run need to know; checked against the model's own config."""

    hidden_size: int
    num_hidden_layers: int
    intermediate_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int = 128
    vocab_size: int = 151_936
    tie_word_embeddings: bool = False


class SftOptions(Strict):
    """Supervised fine-tuning. ``batch`` sequences a device, ``accumulate`` of them an update."""

    learning_rate: float = Field(2e-4, gt=0)
    epochs: float = Field(2.0, gt=0)
    batch: int = Field(8, gt=0)
    accumulate: int = Field(4, gt=0)
    max_length: int = Field(1024, gt=0)
    warmup: float = Field(0.05, ge=0, lt=1)
    packing: bool = True
    masked_codes: bool = False  #: loss of a code over its level's 256 rows only


class RlOptions(Strict):
    """Rank-GRPO; what is not here stands in ``rank_grpo.yaml``."""

    arm: str = "exp_inf"
    learning_rate: float = Field(1e-6, gt=0)
    steps: int = Field(1000, gt=0)
    group: int = Field(8, gt=1)
    prompts_per_step: int = Field(6, gt=0)
    micro: int = Field(32, gt=0)  #: sequences a device learns from at once; the rest accumulate
    ranks: int = Field(20, gt=0)
    max_prompt: int = Field(1024, gt=0)
    max_completion: int = Field(400, gt=0)
    beta: float = Field(1e-3, ge=0)


class Recipe(Strict):
    """One YAML of ``training/configs/``: a model and its two stages."""

    model: str
    form: Form = "codes"
    lora: int = Field(32, ge=0)  #: rank; 0 trains everything
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    attention: str = "sdpa"
    gradient_checkpointing: bool = True
    seed: int = 1
    architecture: Architecture
    sft: SftOptions = SftOptions()
    rl: RlOptions = RlOptions()

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """``FinetuneError`` names the first field that is wrong."""
        if not path.is_file():
            raise FinetuneError(f"{path} is missing: take one of training/configs/qwen3_*.yaml.")
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise FinetuneError(f"{path}: {where}: {first['msg']}.") from error


def open_tokenizer(source: str) -> Any:
    """The model's tokenizer with every token of ``tools.tokens`` added (those it lacks)."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(source)
    held = tokenizer.get_vocab()
    tokenizer.add_tokens([t for t in SPECIAL if t not in held], special_tokens=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    ids = tokenizer.convert_tokens_to_ids(list(SID_TOKENS))
    if ids != list(range(ids[0], ids[0] + len(ids))):
        raise FinetuneError(f"The code tokens of {source} are not side by side: use its original.")
    return tokenizer


def open_model(recipe: Recipe, tokenizer: Any, source: str | None = None, **options: Any) -> Any:
    """The causal LM with room for the tokenizer's words. ``source``: instead of the recipe's."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(
        source or recipe.model,
        dtype=getattr(torch, recipe.dtype),
        attn_implementation=recipe.attention,
        **options,
    )
    return roomy(model, tokenizer)


def shrunk(recipe: Recipe, tokenizer: Any, seed: int = 0) -> Any:
    """A random model of the recipe's architecture, hardly a million parameters, float32."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    eos = tokenizer.eos_token_id
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        tie_word_embeddings=recipe.architecture.tie_word_embeddings,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=eos,
        bos_token_id=None,
        **SMALL,
    )
    return Qwen3ForCausalLM(config)


def roomy(model: Any, tokenizer: Any) -> Any:
    """The same model with at least as many rows as the tokenizer has words."""
    if model.get_input_embeddings().weight.shape[0] < len(tokenizer):
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return model


@torch.no_grad()
def start_codes(
    model: Any, tokenizer: Any, centroids: npt.NDArray[np.float32], seed: int = 0
) -> None:
    """Write the first code rows: centroids (3, 256, d) through a random projection.

    Rows get the mean of the model's own rows and their deviation, input and output alike.
    """
    base = tokenizer.convert_tokens_to_ids(SID_TOKENS[0])
    generator = torch.Generator().manual_seed(seed)
    flat = torch.from_numpy(np.asarray(centroids, np.float32)).flatten(0, 1)
    if flat.shape[0] != len(SID_TOKENS):
        raise FinetuneError(f"Centroids of shape {tuple(centroids.shape)}: (3, {CODES}, d) needed.")
    tables = {
        id(e.weight): e for e in (model.get_input_embeddings(), model.get_output_embeddings())
    }
    for table in tables.values():
        known = table.weight[:base].float()
        mean, deviation = known.mean(0), known.std()
        draw = torch.randn(flat.shape[1], known.shape[1], generator=generator)
        rows = flat @ draw
        rows = mean.cpu() + rows / rows.std() * deviation.cpu()
        table.weight[base : base + len(rows)] = rows.to(table.weight)


def with_adapter(model: Any, rank: int, tokenizer: Any | None = None) -> Any:
    """LoRA on all linear maps of the layers; the added tokens' rows are trained too.

    ``tokenizer`` None: no rows (reinforcement keeps codes as fine-tuning left them).
    """
    from peft import LoraConfig, get_peft_model

    base = None if tokenizer is None else tokenizer.convert_tokens_to_ids(SPECIAL[0])
    rows = None if base is None else sorted(tokenizer.convert_tokens_to_ids(list(SPECIAL)))
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=[
            *("q_proj", "k_proj", "v_proj", "o_proj"),
            *("gate_proj", "up_proj", "down_proj"),
        ],
        trainable_token_indices=rows,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def merged(model: Any) -> Any:
    """Ordinary weights: an adapter is folded in (vLLM rejects trainable token rows)."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
