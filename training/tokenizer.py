"""Train the tokenizer of parley-small: byte-level BPE, then the special tokens.

Byte-level, so any text of any language round-trips; digits one by one, so a year
never eats a vocabulary entry; 8,192 entries because at 12 M parameters the embedding
table is the largest matrix. The special tokens of ``tools.tokens.SPECIAL`` are
appended in their released order, so the semantic-ID codes are the last, contiguous
block of the table.

    python -m training.tokenizer --data DIR --out DIR/tokenizer
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tools.tokens import EOS, PAD, SPECIAL
from training.corpus import DEFAULT_CONFIG, documents, load_config, without_specials

BPE_ENTRIES = 8192


def train(texts: Iterable[str], entries: int = BPE_ENTRIES) -> PreTrainedTokenizerFast:
    """Learn ``entries`` byte-level BPE entries and append every special token.

    Raises:
        ValueError: the texts are too few to fill ``entries``; the id of every special
            token would then depend on the data.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=entries,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != entries:
        raise ValueError(
            f"the texts fill {tokenizer.get_vocab_size()} BPE entries of {entries}; "
            "give more text or ask for fewer entries"
        )
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=PAD,
        padding_side="left",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )


def plain_texts(data: Path, config: Path, redial: Path | None) -> Iterator[str]:
    """One epoch of the corpus as plain text; special tokens are not BPE's to learn."""
    for document in documents(data, load_config(config), redial=redial):
        yield without_specials(document.text)


def main(
    data: Annotated[Path, typer.Option(help="folder with *.jsonl.gz corpora")],
    out: Annotated[Path, typer.Option(help="folder for the tokenizer files")],
    redial: Annotated[Path | None, typer.Option(help="folder with ReDial")] = None,
    config: Annotated[Path, typer.Option(help="corpus weights (YAML)")] = DEFAULT_CONFIG,
    entries: Annotated[int, typer.Option(help="BPE entries")] = BPE_ENTRIES,
) -> None:
    """Train the tokenizer on the open text and save it."""
    tokenizer = train(plain_texts(data, config, redial), entries)
    tokenizer.save_pretrained(out)
    Console(stderr=True).print(f"{len(tokenizer)} entries ({len(SPECIAL)} special) in {out}")


if __name__ == "__main__":
    typer.run(main)
