"""A model folder as a server loads it: the code rows of one catalogue in its plain weights.

``sid_projection.safetensors`` says what every code of a catalogue means to the model; vLLM
knows embeddings only. So the file that holds the embedding (and the output rows, where they
are not tied) is written anew with the catalogue's rows, everything else is linked: seconds and
one shard of space, whatever the size of the model.
"""

import json
import shutil
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from agent.errors import AgentError
from tools.sid_rows import SidRows, materialise
from tools.small_model import PROJECTION_FILE
from tools.tokens import SID_TOKENS

TABLES: Final = ("model.embed_tokens.weight", "lm_head.weight")
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


def with_rows(model: Path, codebooks: np.ndarray, out: Path, dtype: torch.dtype) -> Path:
    """Write ``model`` to the empty folder ``out`` with the rows of ``codebooks`` (3, 256, d).

    A model without a projection fits one catalogue only and comes back as it is.

    Raises:
        AgentError: the folder is no model, or its codebooks are of another width.
    """
    projection = model / PROJECTION_FILE
    if not projection.is_file():
        return model
    first = first_code(model)
    try:
        rows = materialise(SidRows.from_tensors(load_file(projection)), codebooks)
    except ValueError as error:
        raise AgentError(f"{model} cannot write this catalogue's codes: {error}") from error
    changed = {file for table, file in tables(model).items()}
    for path in sorted(model.iterdir()):
        if path.is_file() and path.name not in changed:
            (out / path.name).symlink_to(path.resolve())
    for name in changed:
        tensors = load_file(model / name)
        for table in set(TABLES) & tensors.keys():
            # In the served type, so that rounding is the server's choice and not the file's.
            tensors[table] = tensors[table].to(dtype)
            tensors[table][first : first + len(rows)] = rows.to(dtype)
        save_file(tensors, out / name, metadata={"format": "pt"})
    return out


def tables(model: Path) -> dict[str, str]:
    """Which file holds each table of token rows. ``AgentError`` when there is none."""
    if (model / INDEX).is_file():
        found: dict[str, str] = json.loads((model / INDEX).read_text("utf-8"))["weight_map"]
    elif (model / SINGLE).is_file():
        with safe_open(model / SINGLE, framework="pt") as file:
            found = dict.fromkeys(file.keys(), SINGLE)
    else:
        found = {}
    held: dict[str, str] = {table: found[table] for table in TABLES if table in found}
    if not held:
        raise AgentError(
            f"{model} holds no {TABLES[0]} in safetensors: give a folder written by "
            "`python -m training.export`."
        )
    return held


def first_code(model: Path) -> int:
    """The id of the first code token. ``AgentError`` when the tokenizer has none."""
    try:
        added = json.loads((model / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    except (OSError, ValueError, KeyError) as error:
        raise AgentError(f"{model / 'tokenizer.json'} cannot be read ({error!r}).") from error
    ids = [int(entry["id"]) for entry in added if entry["content"] == SID_TOKENS[0]]
    if not ids:
        raise AgentError(f"the tokenizer of {model} has no {SID_TOKENS[0]}: train it first.")
    return ids[0]


def adapter_rank(folder: Path) -> int:
    """The rank of a LoRA adapter. ``AgentError`` when the folder holds none."""
    try:
        config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        return int(config["r"])
    except (OSError, ValueError, KeyError) as error:
        raise AgentError(
            f"--adapter {folder}: no LoRA adapter there ({error!r}); give a folder that peft wrote."
        ) from error


def remove(folder: Path) -> None:
    """Delete a folder that ``with_rows`` wrote; the linked files stay."""
    shutil.rmtree(folder, ignore_errors=True)
