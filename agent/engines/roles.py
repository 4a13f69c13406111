"""Which engine plays which role, from settings: the only place that knows the addresses.

``PARLEY_TALKER``, ``PARLEY_RECOMMENDER`` and ``PARLEY_UNDERSTANDER`` name a server each, or
``local``. A server is asked once what it can do; what is missing is logged, and a role that it
cannot play is an error that says so. (``PARLEY_ENDPOINT_URL`` with ``_MODEL`` is the talker's
older name and is taken at its word.)
"""

import logging
from typing import Literal, NamedTuple

from agent.engines.batching import BatchingLLM
from agent.engines.endpoint import EndpointLLM
from agent.engines.http import Endpoint
from agent.engines.local import TransformersLLM
from agent.engines.probe import Abilities, probe, split_model
from agent.engines.protocol import LLM
from agent.engines.slates import HttpSlates
from agent.errors import LLMError
from agent.settings import Settings
from catalog.items import Catalog
from tools.slate_decoder import BatchingSlates, InProcessSlates, SlateEngine
from tools.small_model import LoadedModel
from tools.tokens import OUT, SID_TOKENS, TASK_SLATE

log = logging.getLogger(__name__)
Style = Literal["small", "large"]


class Talker(NamedTuple):
    """What writes replies and how it is asked: in Parley's tokens or in words."""

    llm: LLM
    style: Style


def talker(settings: Settings, loaded: LoadedModel) -> Talker:
    """parley-small in this process, or a server. ``LLMError`` when that cannot be used."""
    if settings.talker_url is not None:
        llm = endpoint_llm(settings, settings.talker_url, "PARLEY_TALKER")
        return Talker(llm, "small" if llm.ours else "large")
    if settings.endpoint_url is not None:
        named = EndpointLLM(
            settings.endpoint_url,
            str(settings.endpoint_model),
            api_key=key_of(settings),
            timeout=settings.endpoint_timeout_s,
        )
        return Talker(named, "large")
    return Talker(BatchingLLM(TransformersLLM(loaded)), "small")


def reader(settings: Settings) -> LLM | None:
    """The model that reads turns under a JSON schema; None when rules and encoder do."""
    url = settings.understander_url
    return None if url is None else endpoint_llm(settings, url, "PARLEY_UNDERSTANDER")


def endpoint_llm(settings: Settings, url: str, setting: str) -> EndpointLLM:
    """The model behind an address, asked what it can do."""
    address, abilities = asked(settings, url, setting)
    if any(part for part in abilities.missing if not part.startswith("no slate processor")):
        log.warning("%s %s: %s", setting, address, "; ".join(abilities.missing))
    return EndpointLLM(
        address,
        abilities.model,
        api_key=key_of(settings),
        timeout=settings.endpoint_timeout_s,
        ours=abilities.ours,
        schema=abilities.schema,
        setting=setting,
    )


def slate_engine(settings: Settings, loaded: LoadedModel, catalog: Catalog) -> SlateEngine:
    """What orders slates over this catalogue: here, or at a server started by agent.serve."""
    if settings.recommender_url is None:
        engine = InProcessSlates(loaded, catalog.mask, lm_scale=settings.strength)
        return BatchingSlates(engine)
    setting = "PARLEY_RECOMMENDER"
    address, abilities = asked(settings, settings.recommender_url, setting)
    if not abilities.slates:
        raise LLMError(f"{address} cannot recommend: {abilities.missing[0]}; check {setting}")
    endpoint = endpoint_of(settings, address, setting)
    same_tokens(endpoint, abilities.model, loaded)
    return HttpSlates(
        endpoint, abilities.model, catalog, loaded.sid_base, lm_scale=settings.strength
    )


def asked(settings: Settings, url: str, setting: str) -> tuple[str, Abilities]:
    """A server's address and what it can do."""
    address, model = split_model(url)
    endpoint = endpoint_of(settings, address, setting)
    try:
        return address, probe(endpoint, model)
    finally:
        endpoint.close()


def endpoint_of(settings: Settings, address: str, setting: str) -> Endpoint:
    return Endpoint(address, key_of(settings), timeout=settings.endpoint_timeout_s, setting=setting)


def same_tokens(endpoint: Endpoint, model: str, loaded: LoadedModel) -> None:
    """``LLMError`` when the server's tokenizer numbers tokens otherwise than ours."""
    text = "".join((TASK_SLATE, SID_TOKENS[0], SID_TOKENS[-1], OUT))
    root = endpoint.url.removesuffix("/v1")
    body = {"model": model, "prompt": text, "add_special_tokens": False}
    theirs = endpoint.ask("POST", f"{root}/tokenize", body)
    if not isinstance(theirs, dict) or theirs.get("tokens") != loaded.encode(text):
        raise LLMError(
            f"{endpoint.url} serves a model with another tokenizer than PARLEY_MODEL: "
            "give both the same model's folder"
        )


def key_of(settings: Settings) -> str | None:
    return settings.endpoint_key.get_secret_value() if settings.endpoint_key else None
