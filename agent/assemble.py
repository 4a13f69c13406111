"""Put the parts together from settings. Every choice of engine is made here, none in a node."""

from collections.abc import Callable

import torch

from agent.encoder import Encoder
from agent.graph import Parts
from agent.llm import BatchingLLM, EndpointLLM, TransformersLLM
from agent.recommending import Recommender
from agent.respond import Writer
from agent.settings import Settings
from agent.state import DialogueState, StateUpdate
from agent.understand import understand
from agent.verify import Verifier
from catalog.embed import Embedder
from catalog.items import Catalog
from catalog.store import VectorStore
from tools.candidates import Candidates
from tools.find_title import TitleLinker
from tools.slate_decoder import InProcessSlates
from tools.small_model import LoadedModel, load_small

Read = Callable[[str, DialogueState], StateUpdate]


def assemble(settings: Settings) -> Parts:
    """Open catalogue, index and models; about five seconds on two cores.

    Raises:
        ParleyError: a folder, file or model is missing or does not fit; the message says
            which and what to do.
    """
    torch.set_num_threads(settings.threads)
    catalog = Catalog.open(settings.catalog)
    embedder = Embedder(threads=settings.threads)
    loaded = load_small(settings.model)
    if loaded.projection is not None:
        loaded.bind(catalog.codebooks)
    recommender = Recommender(
        catalog,
        candidates=Candidates.open(catalog, embedder, settings.model / "ranker.npz"),
        engine=InProcessSlates(loaded, catalog.mask),
        loaded=loaded,
        store=VectorStore.open(catalog, settings.home),
        embedder=embedder,
        alpha=settings.alpha,
        beam=settings.beam,
    )
    return Parts(
        catalog=catalog,
        read=reader(settings, catalog, embedder),
        recommender=recommender,
        writer=writer(settings, catalog, loaded),
        slate_items=settings.slate_size,
    )


def reader(settings: Settings, catalog: Catalog, embedder: Embedder) -> Read:
    """What reads a turn: rules, the encoder, or both (``settings.understander``)."""
    encoder = None
    if settings.understander != "rules":
        encoder = Encoder.load(settings.model / "understander", embedder)
    linker = TitleLinker(catalog)

    def read(text: str, state: DialogueState) -> StateUpdate:
        return understand(text, state, catalog, linker, encoder, arm=settings.understander)

    return read


def writer(settings: Settings, catalog: Catalog, loaded: LoadedModel) -> Writer:
    """What talks: parley-small in this process, or an OpenAI-compatible endpoint."""
    verifier = Verifier(catalog)
    if settings.endpoint_url is None:
        return Writer(BatchingLLM(TransformersLLM(loaded)), verifier, style="small")
    key = settings.endpoint_key.get_secret_value() if settings.endpoint_key else None
    llm = EndpointLLM(
        settings.endpoint_url,
        str(settings.endpoint_model),
        api_key=key,
        timeout=settings.endpoint_timeout_s,
    )
    return Writer(llm, verifier, style="large")
