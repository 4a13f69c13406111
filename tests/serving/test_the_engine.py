"""The served engine as an app meets it: adapters, a changing catalogue, roles, a server killed.

The last test kills the server, so it stands in the file that runs last.
"""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from agent.agent import Agent
from agent.engines.http import Endpoint
from agent.engines.probe import probe
from agent.errors import LLMError
from agent.settings import Settings
from catalog.items import Catalog
from catalog.update import update
from tests.serving.conftest import MODEL
from tests.serving.server import Served
from tests.serving.test_slates import case, rows_in
from tools.small_model import LoadedModel

pytestmark = [
    pytest.mark.serving,
    # An agent keeps its connections to servers for as long as the process lives.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]


def slate(client: httpx.Client, model: str, prompt: list[int], **sent: Any) -> dict[str, Any]:
    body = {"model": model, "prompt": prompt, "max_tokens": 9, "temperature": 0, "logprobs": 0}
    body |= {"return_token_ids": True, "vllm_xargs": {"slate": json.dumps({"n": 3} | sent)}}
    answer = client.post("/completions", json=body)
    assert answer.status_code == 200, answer.text
    choice: dict[str, Any] = answer.json()["choices"][0]
    return choice


def test_adapters_are_swapped_while_it_runs(
    client: httpx.Client, catalog: Catalog, loaded: LoadedModel, adapters: list[Path]
) -> None:
    prompt = case(1, catalog, loaded)[0].prompt
    answer = client.post(
        "/load_lora_adapter", json={"lora_name": "other", "lora_path": str(adapters[1])}
    )
    assert answer.status_code == 200, answer.text
    names = ("parley-small", adapters[0].name, "other")
    choices = [slate(client, name, prompt, prior={"alpha": 0.1}) for name in names]
    logs = [choice["logprobs"]["token_logprobs"] for choice in choices]
    assert all(len(set(rows_in(choice, catalog, loaded))) == 3 for choice in choices)
    assert len({tuple(np.round(one, 4)) for one in logs}) == 3  # three models, not one
    client.post("/unload_lora_adapter", json={"lora_name": "other"})
    gone = client.post("/completions", json={"model": "other", "prompt": "a", "max_tokens": 1})
    assert gone.status_code == 404


def test_an_item_taken_out_is_written_no_more(
    client: httpx.Client, folder: Path, catalog: Catalog, loaded: LoadedModel
) -> None:
    prompt = case(2, catalog, loaded)[0].prompt
    wanted = catalog.ids[100]
    prior = {"alpha": 10, "items": {wanted: 1e6}}
    before = rows_in(slate(client, "parley-small", prompt, prior=prior), catalog, loaded)
    assert before[0] == 100
    update(folder, remove=[wanted])
    time.sleep(1.2)  # the server looks once a second
    after = rows_in(slate(client, "parley-small", prompt, prior=prior), catalog, loaded)
    assert 100 not in after


def test_the_server_says_what_it_can_do(served: Served) -> None:
    endpoint = Endpoint(served.url, timeout=120)
    found = probe(endpoint, "parley-small")
    endpoint.close()
    assert found.ours and found.slates and found.schema and not found.missing


def settings(served: Served, folder: Path, home: Path, timeout: float = 120) -> Settings:
    url = f"{served.url}#parley-small"
    return Settings.load(
        home=home,
        catalog=folder,
        model=MODEL,
        recommender=url,
        talker=url,
        endpoint_timeout_s=timeout,
        watch_seconds=0,
        turn_seconds=600,
    )


def test_a_conversation_survives_its_server(served: Served, folder: Path, tmp_path: Path) -> None:
    agent = Agent.open(settings(served, folder, tmp_path))
    turns = [e.turn for e in agent.turn("t", "a funny film from the 1990s") if e.turn]
    assert turns[-1].slate is not None and turns[-1].slate.ordered_by == "llm"
    years = [agent.catalog.item(i).values["year"] for i in turns[-1].slate.item_ids]
    assert len(years) == 5 and all(1990 <= year <= 1999 for year in years)
    assert {call.role for call in turns[-1].trace.calls} >= {"slate", "talk"}  # type: ignore[union-attr]

    served.kill()
    with pytest.raises(LLMError, match=r"127\.0\.0\.1"):
        list(agent.turn("t", "without Jim Carrey"))
    said = [t.text for t in agent.state("t").turns if t.role == "user"]
    assert said == ["a funny film from the 1990s", "without Jim Carrey"]
    assert served.process is not None and served.process.returncode == 2  # agent.serve said so
    assert any("vLLM ended" in line for line in served.lines)

    served.start()
    last = [e.turn for e in agent.turn("t", "three more") if e.turn][-1]
    assert last.slate is not None and len(last.slate.item_ids) == 3
    shown = [t.slate.item_ids for t in agent.state("t").turns if t.slate]
    assert len({i for ids in shown for i in ids}) == sum(map(len, shown))
    agent.close()
