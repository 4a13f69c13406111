"""What a recipe will need, before anything is downloaded: parameters, memory, hours.

Plain arithmetic over the architecture. Memory: weights, gradients, AdamW's two moments and the
float32 master copy (16 bytes a trained parameter in mixed precision), activations with
gradient checkpointing (one hidden state a layer kept, one layer recomputed) and the float32
logits of the positions that count. Time: 6 operations a parameter and token for full training
(4 with an adapter: the frozen weights need no gradient), a third more for recomputing, at
``MFU`` of the card's peak; rollouts are bound by reading the weights, once a step for all
sequences side by side. Estimates, within about a factor of 1.5; the first minute of a run says
better.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from training.hf import Architecture, Recipe

GB: Final = 1e9
MFU: Final = 0.35
#: What decoding reaches of the memory bandwidth with transformers' own loop, and launch time.
READ_SHARE: Final = 0.4
STEP_OVERHEAD_S: Final = 0.02


class Card(NamedTuple):
    """A GPU: bf16 operations a second, bytes a second, bytes."""

    flops: float
    bandwidth: float
    memory: float


CARDS: Final = {
    "rtx4090": Card(165e12, 1.0e12, 24e9),
    "a100": Card(312e12, 2.0e12, 80e9),
    "h100": Card(990e12, 3.35e12, 80e9),
    "h200": Card(990e12, 4.8e12, 141e9),
}


class Estimate(NamedTuple):
    """``parameters`` of the model, ``trained`` of them or of the adapter; bytes; hours."""

    parameters: int
    trained: int
    sft_bytes: float
    rl_bytes: float
    sft_hours: float
    rl_hours: float


def parameters(a: Architecture) -> int:
    """Weights of a Qwen3-like decoder."""
    attention = a.hidden_size * a.head_dim * (2 * a.num_attention_heads + 2 * a.num_key_value_heads)
    layer = attention + 3 * a.hidden_size * a.intermediate_size + 2 * a.hidden_size + 2 * a.head_dim
    tables = a.vocab_size * a.hidden_size * (1 if a.tie_word_embeddings else 2)
    return a.num_hidden_layers * layer + tables + a.hidden_size


def adapter(a: Architecture, rank: int) -> int:
    """Weights of LoRA on all seven linear maps of each layer."""
    query, key = a.num_attention_heads * a.head_dim, a.num_key_value_heads * a.head_dim
    pairs = (
        (a.hidden_size, query),
        (a.hidden_size, key),
        (a.hidden_size, key),
        (query, a.hidden_size),
        (a.hidden_size, a.intermediate_size),
        (a.hidden_size, a.intermediate_size),
        (a.intermediate_size, a.hidden_size),
    )
    return a.num_hidden_layers * sum(rank * (rows + columns) for rows, columns in pairs)


def estimate(recipe: Recipe, card: Card, rows: int, tokens_a_row: int = 300) -> Estimate:
    """For one card; more cards divide the hours, FSDP the weights and moments too.

    ``rows``: of the fine-tuning, ``tokens_a_row`` long on average.
    """
    a, sft, rl = recipe.architecture, recipe.sft, recipe.rl
    whole = parameters(a)
    trained = adapter(a, recipe.lora) if recipe.lora else whole
    held = 2 * whole + 16 * trained if recipe.lora else 16 * whole
    per_token = 2 * a.hidden_size * a.num_hidden_layers + 40 * a.hidden_size
    in_flight = sft.batch * sft.max_length
    sft_bytes = held + in_flight * per_token + in_flight * a.vocab_size * 6
    length = 3 * rl.ranks if recipe.form == "codes" else rl.max_completion
    sequences = rl.group * rl.prompts_per_step
    micro = min(sequences, rl.micro)
    cache = 2 * 2 * a.num_hidden_layers * a.num_key_value_heads * a.head_dim
    logits = length * (256 * 8 if recipe.form == "codes" else a.vocab_size * 6)
    reference = 0 if recipe.lora or not rl.beta else 2 * whole
    rl_bytes = held + reference + micro * ((300 + length) * (cache + per_token) + logits)
    factor = (4 if recipe.lora else 6) * 4 / 3
    sft_flops = factor * whole * rows * tokens_a_row * sft.epochs
    steps = rl.steps * -(-sequences // 512)
    decode = steps * length * (2 * whole / (card.bandwidth * READ_SHARE) + STEP_OVERHEAD_S)
    learn = rl.steps * sequences * (300 + length) * (factor + 2) * whole / (card.flops * MFU)
    return Estimate(
        whole,
        trained,
        sft_bytes,
        rl_bytes,
        sft_flops / (card.flops * MFU) / 3600,
        (decode + learn) / 3600,
    )


def told(recipe: Recipe, rows: int) -> str:
    """A small table for people: one line a card."""
    how = f"LoRA {recipe.lora}" if recipe.lora else "all weights"
    lines = [
        f"{recipe.model}, {recipe.form}, {how}; "
        f"{rows:,} rows, {recipe.rl.steps} RL steps of {recipe.rl.prompts_per_step} x "
        f"{recipe.rl.group} rollouts"
    ]
    for name, card in CARDS.items():
        e = estimate(recipe, card, rows)
        most = max(e.sft_bytes, e.rl_bytes)
        fits = (
            "fits"
            if most < 0.92 * card.memory
            else f"needs {-(-most // (0.85 * card.memory)):.0f} with fsdp.yaml"
        )
        lines.append(
            f"{name:8} {fits:26} SFT {e.sft_bytes / GB:5.0f} GB {e.sft_hours:6.1f} h   "
            f"Rank-GRPO {e.rl_bytes / GB:5.0f} GB {e.rl_hours:6.1f} h"
        )
    e = estimate(recipe, CARDS["h100"], rows)
    lines.append(f"{e.parameters / 1e9:.2f} B parameters, {e.trained / 1e6:.0f} M trained")
    return "\n".join(lines)
