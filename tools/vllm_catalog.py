"""The catalogue inside a vLLM server: opened once a process, and again when it is rebuilt.

vLLM runs an API process, which refuses bad requests, and an engine process, which masks; both
hold the catalogue that PARLEY_CATALOG names, with the shop's rules (PARLEY_RULES), and the
vocabulary of PARLEY_MODEL. ``python -m agent.serve`` sets the three.

A rebuilt catalogue takes the old one's place as soon as it is seen; the last few stay, so a
request made over an older one is still served. One whose codebooks differ cannot be written by
the weights that are loaded: it is refused until ``agent.serve`` has started vLLM again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerFast

from catalog import segments
from catalog.errors import ParleyError
from catalog.folder import read_manifest
from catalog.items import Catalog
from catalog.rules import Rules
from tools.slate_wire import Compiler, Reply, Request, WireError
from tools.tokens import CODES, EOS, OUT, SID_TOKENS, SLOTS, SPECIAL, TASK_SLATE

KEPT: Final = 4  #: catalogues in memory by name, the newest included
EVERY: Final = 1.0  #: seconds between two looks at the folder
log = logging.getLogger("vllm.parley")


class Vocabulary(NamedTuple):
    """Ids of the tokens that are not words; None for a model that has none of ours."""

    first: int  #: of the special tokens, which are one block
    size: int
    sid_base: int
    eos: int
    out: int
    task_slate: int
    slots: dict[str, int]

    @classmethod
    def read(cls, folder: Path) -> Vocabulary | None:
        """Of a model folder's tokenizer."""
        held = PreTrainedTokenizerFast.from_pretrained(folder).get_vocab()
        ids = [held.get(token, -1) for token in SPECIAL]
        if -1 in ids:
            return None
        if ids != list(range(ids[0], ids[0] + len(ids))):
            raise WireError(f"the special tokens of {folder} are not one block: export it again.")
        return cls(
            first=ids[0],
            size=len(ids),
            sid_base=held[SID_TOKENS[0]],
            eos=held[EOS],
            out=held[OUT],
            task_slate=held[TASK_SLATE],
            slots={token: held[token] for token in SLOTS},
        )

    def kind(self, token: int) -> bool:
        """Whether a token is a semantic-ID code."""
        return self.sid_base <= token < self.sid_base + 3 * CODES


class Shelf:
    """The catalogues of one process, by fingerprint."""

    def __init__(self, catalog: Path, model: Path, rules: Path | None = None) -> None:
        self.path, self.rules_path = catalog, rules
        self.words = Vocabulary.read(model)
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Compiler] = OrderedDict()
        self._looked, self._complaint = 0.0, ""
        self._seen: tuple[object, ...] = ()
        opened = Catalog.open(catalog)
        #: the codebooks that the loaded weights stand for
        self.codebooks = opened.codebooks
        self._put(opened)
        self._seen = self._state()

    @classmethod
    def of_environment(cls) -> Shelf:
        """From PARLEY_CATALOG, PARLEY_MODEL and PARLEY_RULES. ``WireError`` if one is missing."""
        try:
            catalog, model = os.environ["PARLEY_CATALOG"], os.environ["PARLEY_MODEL"]
        except KeyError as error:
            raise WireError(
                f"{error.args[0]} is not set: start the server with `python -m agent.serve`."
            ) from error
        rules = os.environ.get("PARLEY_RULES")
        return cls(Path(catalog), Path(model), Path(rules) if rules else None)

    def newest(self) -> Compiler:
        """Over the catalogue as it lies in its folder, looked at once a second."""
        self._look()
        with self._lock:
            return next(reversed(self._held.values()))

    def named(self, name: str) -> Compiler:
        """Over the catalogue of this fingerprint. ``WireError`` when it is not here (any more)."""
        if not name:
            return self.newest()
        with self._lock:
            found = self._held.get(name)
        if found is None:
            newest = self.newest()
            if newest.catalog.fingerprint != name:
                self._look(now=True)
                newest = self.newest()
            if newest.catalog.fingerprint != name:
                raise WireError(
                    f"the request is about catalogue {name}, this server has "
                    f"{newest.catalog.fingerprint}: rebuild or reload one of them."
                )
            return newest
        return found

    def check(self, slate: object, reply: object) -> None:
        """``ParleyError`` when a request's entries cannot be served."""
        if slate is not None and reply is not None:
            raise WireError("vllm_xargs holds slate and reply: a request is one of them.")
        if slate is not None:
            self._words("slate")
            request = Request.read(slate)
            self.named(request.catalog).view(request)
        if reply is not None:
            words, sent = self._words("reply"), Reply.read(reply)
            unknown = {*(sent.slots or ()), *sent.once} - words.slots.keys()
            if unknown:
                raise WireError(f"{sorted(unknown)[0]!r} is no slot: see tools.tokens.SLOTS.")

    def _words(self, name: str) -> Vocabulary:
        if self.words is None:
            raise WireError(
                f"this model has no tokens for vllm_xargs.{name}: serve one that was exported by "
                "training.export."
            )
        return self.words

    def _look(self, now: bool = False) -> None:
        """Take a rebuilt catalogue or edited rules into use; report what cannot be."""
        with self._lock:
            if not now and time.monotonic() - self._looked < EVERY:
                return
            self._looked = time.monotonic()
            state = self._state()
            if state == self._seen:
                return
            try:
                self._put(Catalog.open(self.path))
                self._complaint = ""
            except ParleyError as error:
                if str(error) != self._complaint:
                    log.error("the rebuilt catalogue cannot be used, the old one stays: %s", error)
                self._complaint = str(error)
            self._seen = state

    def _put(self, catalog: Catalog) -> None:
        if not np.array_equal(catalog.codebooks, self.codebooks):
            raise WireError(
                f"{self.path} has new codebooks, which the loaded weights do not know: "
                "start `python -m agent.serve` again."
            )
        rules = Rules.read(self.rules_path).compile(catalog) if self.rules_path else None
        compiler = Compiler(catalog, rules)
        for name in self._names(catalog):
            self._held[name] = compiler
            self._held.move_to_end(name)
        while len(self._held) > KEPT:
            self._held.popitem(last=False)
        log.info("slates over %s items, catalogue %s", len(catalog), catalog.fingerprint)

    def _names(self, catalog: Catalog) -> list[str]:
        """Fingerprints of these very items: a folder written anew without segments has two."""
        former = read_manifest(self.path).get("same_as")
        return [*([str(former)] if former else []), catalog.fingerprint]

    def _state(self) -> tuple[object, ...]:
        """What tells a changed catalogue and edited rules."""
        try:
            name = segments.read_head(self.path, read_manifest(self.path)).fingerprint
        except ParleyError:  # between two renames; looked at again in a second
            return self._seen
        rules = self.rules_path.read_bytes() if self.rules_path else b""
        return name, hashlib.sha256(rules).hexdigest()
