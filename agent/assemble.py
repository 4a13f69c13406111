"""Put the parts together from settings. Every choice of engine is made here, none in a node."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml

from agent.ab import Arms, parsed
from agent.budget import Budget
from agent.encoder import Encoder
from agent.engines import roles
from agent.engines.endpoint import EndpointLLM
from agent.engines.http import Endpoint
from agent.engines.slates import HttpSlates
from agent.graph import Parts
from agent.opening import Place, Shelf
from agent.reader import Reader
from agent.recommending import Recommender
from agent.respond import Writer
from agent.settings import Settings, SettingsError
from agent.state import DialogueState, StateUpdate
from agent.understand import understand
from agent.verify import Verifier
from catalog.embed import Embedder, choose
from catalog.items import Catalog
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
        self._compared = parsed(settings.ab) if settings.ab else ()
        if self._compared and settings.recommender is not None:
            raise SettingsError(
                "PARLEY_AB and PARLEY_RECOMMENDER both say which model orders slates: unset one; "
                "PARLEY_AB names a model for everybody."
            )
        choose(settings.encoder)
        self.embedder = Embedder(threads=settings.threads)
        self.encoder: Encoder | None = None
        if settings.understander_url is None and settings.understander != "rules":
            self.encoder = Encoder.load(
                settings.model / "understander",
                self.embedder if settings.encoder is None else Embedder(usual=True, threads=None),
            )
        self.loaded = load_small(settings.model)
        self.talker = roles.talker(settings, self.loaded)
        self.reader = roles.reader(settings)
        self._connections: list[Endpoint] = []  # of engines at servers, to close in the end
        # By folder: a model that orders slates, and the catalogue whose codes its rows stand for.
        self._ordering: dict[Path, tuple[LoadedModel, Catalog | None]] = {
            settings.model: (self.loaded, None)
        }
        for folder in [settings.recommender_folder, *(arm.model for arm in self._compared)]:
            if folder not in self._ordering:  # the talker keeps its own
                self._ordering[folder] = (load_small(folder), None)
        self._place = Place(settings, self.embedder)

    def parts(self) -> Parts:
        """The parts over the catalogue that lies in its folder now. Raises ``ParleyError``."""
        return self._over(self._place.opened())

    def renew(self, old: Parts) -> Parts | None:
        """The parts over a changed catalogue or edited rules; None while ``old`` is current.

        Raises:
            ParleyError: what lies there now cannot be used.
        """
        shelf = self._place.renewed()
        return None if shelf is None else self._over(shelf)

    def close(self) -> None:
        """Close the connections to models' servers."""
        for one in (self.talker.llm, self.reader, *self._connections):
            if isinstance(one, EndpointLLM | Endpoint):
                one.close()

    def _over(self, shelf: Shelf) -> Parts:
        """The models at work over one catalogue."""
        settings, catalog, linker, encoder = (
            self.settings,
            shelf.catalog,
            shelf.linker,
            self.encoder,
        )

        reader = Reader(self.reader, catalog, linker) if self.reader else None

        def read(text: str, state: DialogueState) -> StateUpdate:
            if reader is not None:
                return reader.read(text, state)
            return understand(text, state, catalog, linker, encoder, arm=settings.arm)

        def recommending(folder: Path) -> Recommender:
            loaded = self._slates(catalog, folder)
            engine = roles.slate_engine(settings, loaded, catalog)
            if isinstance(engine, HttpSlates):
                self._connections.append(engine.endpoint)
            made = Recommender(
                catalog,
                candidates=shelf.candidates,
                engine=engine,
                loaded=loaded,
                store=shelf.store,
                embedder=self.embedder,
                alpha=settings.alpha,
                beam=settings.beam,
                rules=shelf.rules,
            )
            made.rules_words = yaml.safe_load(shelf.rules_file) if shelf.rules else None
            return made

        compared = {arm.name: recommending(arm.model) for arm in self._compared}
        first = next(iter(compared.values()), None)
        return Parts(
            catalog=catalog,
            read=read,
            recommender=first or recommending(settings.recommender_folder),
            writer=Writer(
                self.talker.llm,
                Verifier(catalog),
                style=self.talker.style,
                budget=Budget(settings.turn_calls, settings.turn_tokens, settings.turn_seconds),
            ),
            slate_items=settings.slate_size,
            arms=Arms(self._compared, compared) if compared else None,
        )

    def _slates(self, catalog: Catalog, folder: Path) -> LoadedModel:
        """The model of a folder with this catalogue's codes in it.

        Turns in flight still write the old catalogue's codes, so other codebooks get a model
        of their own; items that came or went under the same codebooks need none.
        """
        loaded, bound = self._ordering[folder]
        fits = bound is not None and np.array_equal(bound.codebooks, catalog.codebooks)
        if bound is not None and not fits:
            loaded = load_small(folder)
        if loaded.projection is not None and not fits:
            loaded.bind(catalog.codebooks)
        self._ordering[folder] = (loaded, catalog)
        return loaded
