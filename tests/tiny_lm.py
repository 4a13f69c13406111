"""A parley-small in miniature: real tokenizer, real Qwen3, random weights, made in a second."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from tools.sid_rows import SidRows
from tools.small_model import PROJECTION_FILE
from training.pretrain import Size, build_model
from training.tokenizer import train

SENTENCES = (
    "I like funny films with a warm heart.",
    "Here is one that you may like: it is a comedy.",
    "Do you want something newer, or something older?",
    "What is it about? It is about a family by the sea.",
)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """300 BPE entries learnt from four sentences, then every special token."""
    return train([s for s in SENTENCES for _ in range(9)], entries=300)


def tiny_model(tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> Qwen3ForCausalLM:
    """Random weights, wide enough that different prompts lead to different words."""
    torch.manual_seed(seed)
    model = build_model(Size.tiny, tokenizer)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 2:
                p.mul_(6.0)
    return model


def tiny_folder(folder: Path, seed: int = 0) -> Path:
    """A saved model with a projection, as ``load_small`` reads it."""
    tokenizer = tiny_tokenizer()
    tiny_model(tokenizer, seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    save_file(SidRows(64).state_dict(), folder / PROJECTION_FILE)
    return folder
