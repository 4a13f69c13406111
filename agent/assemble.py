"""Put the parts together from settings. Every choice of engine is made here, none in a node."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from agent.encoder import Encoder
from agent.graph import Parts
from agent.llm import LLM, BatchingLLM, EndpointLLM, TransformersLLM
from agent.recommending import Recommender
from agent.respond import Writer
from agent.settings import Settings
from agent.state import DialogueState, StateUpdate
from agent.understand import lexicon_of, understand
from agent.verify import Verifier
from catalog.embed import Embedder
from catalog.folder import fingerprint, read_manifest
from catalog.items import Catalog
from catalog.rules import Rules
from catalog.store import VectorStore
from tools.candidates import Candidates
from tools.find_title import TitleLinker
from tools.slate_decoder import BatchingSlates, InProcessSlates
from tools.small_model import LoadedModel, load_small

Read = Callable[[str, DialogueState], StateUpdate]


def assemble(settings: Settings) -> Parts:
    """Open catalogue, index and models; about five seconds on two cores.

    Raises:
        ParleyError: a folder, file or model is missing or does not fit; the message says
            which and what to do.
    """
    return Assembly(settings).parts()


class Assembly:
    """What outlives a catalogue: the models, and how to put them to work over the next one."""

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.embedder = Embedder(threads=settings.threads)
        self.encoder: Encoder | None = None
        if settings.understander != "rules":
            self.encoder = Encoder.load(settings.model / "understander", self.embedder)
        self.loaded = load_small(settings.model)
        self.llm = talker(settings, self.loaded)
        if settings.recommender is not None:  # the talker keeps its own
            self.loaded = load_small(settings.recommender)
        self._bound: Catalog | None = None  # whose codes the loaded model's rows stand for
        self._rules = b""

    def parts(self) -> Parts:
        """The parts over the catalogue that lies in its folder now. Raises ``ParleyError``."""
        settings = self.settings
        catalog = Catalog.open(settings.catalog)
        rules_file = _read(settings.rules)
        rules = Rules.read(settings.rules).compile(catalog) if settings.rules else None
        linker, encoder = TitleLinker(catalog), self.encoder
        lexicon_of(catalog)  # built here, so that no person's turn waits for it

        def read(text: str, state: DialogueState) -> StateUpdate:
            return understand(text, state, catalog, linker, encoder, arm=settings.understander)

        loaded = self._slates(catalog)
        recommender = Recommender(
            catalog,
            candidates=Candidates.open(catalog, self.embedder, settings.model / "ranker.npz"),
            engine=BatchingSlates(InProcessSlates(loaded, catalog.mask)),
            loaded=loaded,
            store=VectorStore.open(catalog, settings.home),
            embedder=self.embedder,
            alpha=settings.alpha,
            beam=settings.beam,
            rules=rules,
        )
        self._rules = rules_file
        style = "small" if settings.endpoint_url is None else "large"
        return Parts(
            catalog=catalog,
            read=read,
            recommender=recommender,
            writer=Writer(self.llm, Verifier(catalog), style=style),  # type: ignore[arg-type]
            slate_items=settings.slate_size,
        )

    def renew(self, old: Parts) -> Parts | None:
        """The parts over a rebuilt catalogue or edited rules; None while ``old`` is current.

        Raises:
            ParleyError: what lies there now cannot be used.
        """
        now = fingerprint(read_manifest(self.settings.catalog))
        if now == old.catalog.fingerprint and _read(self.settings.rules) == self._rules:
            return None
        return self.parts()

    def _slates(self, catalog: Catalog) -> LoadedModel:
        """The model with this catalogue's codes in it.

        Turns in flight still write the old catalogue's codes, so other codebooks get a model
        of their own; items that came or went under the same codebooks need none.
        """
        bound = self._bound
        loaded = self.loaded
        if bound is not None and not np.array_equal(bound.codebooks, catalog.codebooks):
            loaded = load_small(self.settings.recommender or self.settings.model)
        if loaded.projection is not None and (bound is None or loaded is not self.loaded):
            loaded.bind(catalog.codebooks)
        self._bound, self.loaded = catalog, loaded
        return loaded


def talker(settings: Settings, loaded: LoadedModel) -> LLM:
    """What talks: parley-small in this process, or an OpenAI-compatible endpoint."""
    if settings.endpoint_url is None:
        return BatchingLLM(TransformersLLM(loaded))
    key = settings.endpoint_key.get_secret_value() if settings.endpoint_key else None
    return EndpointLLM(
        settings.endpoint_url,
        str(settings.endpoint_model),
        api_key=key,
        timeout=settings.endpoint_timeout_s,
    )


def _read(rules: Path | None) -> bytes:
    """The rules as they lie there; what cannot be read is reported by ``Rules.read``."""
    try:
        return rules.read_bytes() if rules else b""
    except OSError:
        return b""
