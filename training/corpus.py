"""Open text -> documents -> uint16 token shards for pretraining.

Every corpus is a ``<source>.jsonl.gz`` of dialogues (``turns``) or single texts
(``text``). The YAML config says how often each is seen; a stable hash decides which
record is kept, repeated or held out, so a rerun gives the same bytes. ReDial's train and
validation parts are read too, with every film replaced by its mention slot ``<mK>``: the
model never has to learn titles, it learns to talk around them.

    python -m training.corpus --data DIR --redial DIR --tokenizer DIR --out DIR
"""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
import yaml
from rich.console import Console
from rich.progress import track
from transformers import PreTrainedTokenizerFast

from tools.tokens import AGENT, EOS, MENTIONS, SPECIAL, USER

DEFAULT_CONFIG = Path(__file__).parent / "configs" / "corpus.yaml"
SHARD_TOKENS = 4_000_000
HOLDOUT_SHARE = 0.2
VALIDATION_SHARE = 0.005
REDIAL_FILES = ("redial_train_partial.jsonl.gz", "redial_valid_kgsf.jsonl.gz")
_SPACES = re.compile(r"\s+")
_FILM = re.compile(r"@\d+")
_SPECIAL = re.compile("|".join(re.escape(t) for t in SPECIAL))
_LONE_I = re.compile(r"\bi(?=\b|')")
_JUNK = re.compile(r"\[(?:link|email)\]|[<>@#_*|~^]{2,}")


class Document(NamedTuple):
    """One rendered dialogue or text, ready for the tokenizer."""

    source: str
    text: str
    validation: bool


def load_config(path: Path) -> dict[str, Any]:
    """Read the corpus weights.

    Raises:
        ValueError: the file has no ``sources`` table.
    """
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(config, dict) or "sources" not in config:
        raise ValueError(f"{path} has no `sources`; see {DEFAULT_CONFIG.name} for the form")
    return config


def stable_share(*key: object) -> float:
    """A number in [0, 1) that depends on the key alone (first 8 bytes of its SHA-1)."""
    digest = hashlib.sha1("\x1f".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def without_specials(text: str) -> str:
    """The text with every special token replaced by a blank."""
    return _SPECIAL.sub(" ", text)


def clean(text: str, *, case: bool = False) -> str:
    """Collapse spaces, drop junk marks and anything that looks like a special token.

    ``case`` repairs lower-case sources lightly: the first letter and a lone "i".
    """
    text = _SPACES.sub(" ", _JUNK.sub(" ", without_specials(text))).strip()
    if case and text:
        text = _LONE_I.sub("I", text[0].upper() + text[1:])
    return text


def is_held_out(record: Mapping[str, Any], options: Mapping[str, Any], key: str) -> bool:
    """Whether a record belongs to a part that training must not see."""
    split = record.get("split")
    if split is not None:
        return "train" not in str(split)
    return options.get("holdout") == "hash" and stable_share("holdout", key) < HOLDOUT_SHARE


def weight_of(record: Mapping[str, Any], options: Mapping[str, Any]) -> float:
    """How many times one record is seen in an epoch."""
    weight = float(options["weight"])
    boost = options.get("boost")
    if boost:
        value = record.get(boost["field"]) or ""
        values = value if isinstance(value, list) else [value]
        if any(str(v).startswith(start) for v in values for start in boost["any"]):
            weight *= float(boost["by"])
    return weight


def render(record: Mapping[str, Any], *, case: bool = False) -> str:
    """A dialogue with role tokens, or a text as it stands; empty if nothing is left."""
    if "turns" not in record:
        return clean(str(record["text"]), case=case)
    parts = []
    for turn in record["turns"]:
        text = clean(turn["text"], case=case)
        if text:
            parts.append((USER if turn["role"] == "user" else AGENT) + text)
    return "".join(parts) if len(parts) > 1 else ""


def render_redial(record: Mapping[str, Any]) -> str:
    """A ReDial dialogue: runs of one sender joined, films as ``<mK>`` by first mention."""
    slots: dict[str, str] = {}

    def slot(match: re.Match[str]) -> str:
        known = slots.setdefault(match[0], MENTIONS[min(len(slots), len(MENTIONS) - 1)])
        return known

    parts: list[str] = []
    last = None
    for message in record["messages"]:
        text = _SPACES.sub(" ", _FILM.sub(slot, without_specials(message["text"]))).strip()
        if not text:
            continue
        text = _LONE_I.sub("I", text[0].upper() + text[1:])
        seeker = message["senderWorkerId"] == record["initiatorWorkerId"]
        parts.append(f" {text}" if seeker is last else (USER if seeker else AGENT) + text)
        last = seeker
    return "".join(parts) if len(parts) > 1 else ""


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def documents(
    data: Path, config: Mapping[str, Any], *, redial: Path | None = None, epoch: int = 0
) -> Iterator[Document]:
    """One epoch of weighted documents, in file order.

    Raises:
        FileNotFoundError: a source of the config has no file in ``data``.
    """
    seed = config.get("seed", 0)
    for source, options in config["sources"].items():
        if source == "redial":
            if redial is None:
                continue
            paths = [redial / name for name in REDIAL_FILES]
        else:
            paths = [data / f"{source}.jsonl.gz"]
        for path in paths:
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path} is missing; put the corpus there or drop `{source}` from the config"
                )
            for index, record in enumerate(_records(path)):
                key = f"{path.name}/{record.get('dialogue_id', index)}"
                if is_held_out(record, options, key):
                    continue
                case = bool(options.get("case"))
                text = render_redial(record) if source == "redial" else render(record, case=case)
                if not text:
                    continue
                weight = weight_of(record, options)
                copies = int(weight) + (stable_share(seed, epoch, key, index) < weight % 1)
                validation = stable_share("validation", key, index) < VALIDATION_SHARE
                for _ in range(min(copies, 1) if validation else copies):
                    yield Document(source, text, validation)


def write_shards(
    docs: list[Document], tokenizer: PreTrainedTokenizerFast, out: Path, *, seed: int
) -> dict[str, Any]:
    """Tokenise shuffled documents into ``train-XX.bin`` and ``val.bin`` (uint16, flat).

    Returns the counts that ``stats.json`` records. Every document ends with ``<eos>``.
    """
    if len(tokenizer) > np.iinfo(np.uint16).max:
        raise ValueError(f"{len(tokenizer)} tokens do not fit uint16; use a smaller vocabulary")
    out.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(docs))
    tokens: dict[str, int] = {}
    kept: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for start in track(range(0, len(order), 2000), description="tokenise", transient=True):
        batch = [docs[i] for i in order[start : start + 2000]]
        encoded = tokenizer([d.text + EOS for d in batch], add_special_tokens=False)["input_ids"]
        for doc, ids in zip(batch, encoded, strict=True):
            kept[doc.validation].append(np.asarray(ids, dtype=np.uint16))
            tokens[doc.source] = tokens.get(doc.source, 0) + len(ids)
    train = np.concatenate(kept[False])
    val = np.concatenate(kept[True]) if kept[True] else train[:4096]
    for number, start in enumerate(range(0, len(train), SHARD_TOKENS)):
        train[start : start + SHARD_TOKENS].tofile(out / f"train-{number:02d}.bin")
    val.tofile(out / "val.bin")
    return {
        "train_tokens": len(train),
        "val_tokens": len(val),
        "documents": len(docs),
        "tokens_by_source": dict(sorted(tokens.items(), key=lambda kv: -kv[1])),
        "sources": sorted(tokens),
    }


def licences(data: Path, sources: list[str]) -> dict[str, str]:
    """The licence line of every source, from the table of ``LICENCES.md`` beside the data."""
    known = {"redial": "CC BY 4.0 (ReDial)"}
    path = data / "LICENCES.md"
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if len(cells) == 7 and cells[0] in sources:
                known[cells[0]] = cells[6]
    return {source: known.get(source, "not listed: see the corpus") for source in sources}


def main(
    data: Annotated[Path, typer.Option(help="folder with *.jsonl.gz corpora")],
    tokenizer: Annotated[Path, typer.Option(help="folder of the tokenizer")],
    out: Annotated[Path, typer.Option(help="folder for the shards")],
    redial: Annotated[Path | None, typer.Option(help="folder with ReDial")] = None,
    config: Annotated[Path, typer.Option(help="corpus weights (YAML)")] = DEFAULT_CONFIG,
) -> None:
    """Write token shards, ``stats.json`` and ``licences.json``; last line JSON."""
    settings = load_config(config)
    fast = PreTrainedTokenizerFast.from_pretrained(tokenizer)
    docs = list(documents(data, settings, redial=redial))
    stats = write_shards(docs, fast, out, seed=settings.get("seed", 0))
    stats["licences"] = licences(data, stats["sources"])
    (out / "stats.json").write_text(json.dumps(stats, indent=1), encoding="utf-8")
    Console(stderr=True).print(f"{stats['train_tokens']:,} tokens in {out}")
    print(json.dumps({k: stats[k] for k in ("train_tokens", "val_tokens", "documents")}))


if __name__ == "__main__":
    typer.run(main)
