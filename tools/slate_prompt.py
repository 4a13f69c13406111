"""The slate role's prompt, as token ids: one builder for training and for serving.

    <task:slate><conv> last turns, items as <m1> … <query> SID of the wish, SID of the taste
    <like> SIDs <dislike> SIDs <cand> SIDs of the best candidates <out>

What the model needs of the meaning comes as *query SIDs*: text vectors quantised by the
catalogue's own codebooks, so that pretrained semantics arrive as tokens. Items come as
their codes. The slate follows after ``<out>``, three tokens an item. At most 150 tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from catalog.semantic_ids import quantise
from tools import tokens
from tools.features import Floats, Query

TEXT_TOKENS: Final = 64
TURNS: Final = 4
LIKED: Final = 6
DISLIKED: Final = 3
CANDIDATES: Final = 10
_MENTION: Final = re.compile(r"(<m[1-9]>)")
_ROLE: Final = {"user": tokens.USER, "agent": tokens.AGENT}

Codes = npt.NDArray[np.uint8]


class SlatePrompts:
    """Writes prompts with one tokenizer, for any catalogue's codes.

    ``tokenizer``: a transformers fast tokenizer that holds ``tools.tokens.SPECIAL``.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.sid_base = self._id(tokens.SID_TOKENS[0])

    def _id(self, token: str) -> int:
        found = self.tokenizer.convert_tokens_to_ids(token)
        if found is None or found == self.tokenizer.unk_token_id:
            raise ValueError(f"The tokenizer has no {token}: train it with training.tokenizer.")
        return int(found)

    def text(self, turns: Sequence[tuple[str, str]]) -> list[int]:
        """The last turns, newest whole, oldest cut: at most ``TEXT_TOKENS`` ids.

        Only ``<m1>``…``<m9>`` are read as special tokens; any other "<" is taken out, so
        that nothing a person writes can close the conversation block.
        """
        out: list[int] = []
        for role, text in reversed(turns[-TURNS:]):
            pieces = _MENTION.split(text)
            plain = "".join(p if _MENTION.fullmatch(p) else p.replace("<", " ") for p in pieces)
            ids = self.tokenizer(plain, add_special_tokens=False)["input_ids"]
            room = TEXT_TOKENS - len(out) - 1
            if room <= 0:
                break
            out = [self._id(_ROLE[role]), *ids[-room:], *out]
        return out

    def sids(self, codes: Codes) -> list[int]:
        """Token ids of codes. Shape: ``(n, 3)`` -> ``3 n`` ids."""
        offsets = self.sid_base + tokens.CODES * np.arange(codes.shape[1])
        ids: list[int] = (codes.astype(np.int64) + offsets).ravel().tolist()
        return ids

    def prompt(
        self,
        text: Sequence[int],
        query: Query,
        vectors: Floats,
        top: Sequence[int] | npt.NDArray[np.int64],
        codes: Codes,
        codebooks: Floats,
    ) -> list[int]:
        """The whole prompt.

        ``text``: from ``text``; ``vectors``: ``query_vectors``; ``top``: candidate rows, best
        first; ``codes`` ``(N, 3)`` and ``codebooks`` ``(3, 256, d)``: of the catalogue. A
        fourth code, which only tells twins apart, is left out.
        """
        codes = codes[:, : len(codebooks)]
        if tokens.CODES * codes.shape[1] != len(tokens.SID_TOKENS):
            raise ValueError(f"Codes have {codes.shape[1]} levels: the prompt writes 3.")
        wish = quantise(vectors, codebooks) if len(vectors) else codes[:0]
        parts = (
            (tokens.QUERY, wish),
            (tokens.LIKED, codes[list(query.named[-LIKED:])]),
            (tokens.DISLIKED, codes[list(query.disliked[-DISLIKED:])]),
            (tokens.CANDIDATES, codes[list(top[:CANDIDATES])]),
        )
        out = [self._id(tokens.TASK_SLATE), self._id(tokens.CONVERSATION), *text]
        for token, block in parts:
            if len(block):
                out += [self._id(token), *self.sids(block)]
        return [*out, self._id(tokens.OUT)]


def query_vectors(last: Floats, taste: Floats, about: Floats) -> Floats:
    """What is quantised into the prompt: the wish, then the taste. Shape ``(0..2, d)``.

    ``last``: of the last turns; ``taste``: mean of what is named; ``about``: ``(a, d)`` of
    the free wishes, which say it better than the turns do. Zero vectors are left out.
    """
    wish = about.mean(0) if len(about) else last
    rows = [vector / norm for vector in (wish, taste) if (norm := np.linalg.norm(vector)) > 1e-6]
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, len(last)), np.float32)
