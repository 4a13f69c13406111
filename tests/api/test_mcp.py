"""MCP's own client: in the process, and against `python -m agent.mcp` over stdio and HTTP."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from agent.agent import Agent
from agent.mcp import create
from tests.api.shop import parts

ROOT = Path(__file__).resolve().parents[2]
START_S = 240  # only a limit for a server that never starts


async def used(client: Client, item: str, other: str, wish: str) -> dict[str, Any]:
    """Every tool once; what each answered."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"search", "recommend", "details", "compare"}
    assert all(tool.description and tool.output_schema for tool in tools.values())
    answers = {
        "details": await client.call_tool("details", {"item_id": item}),
        "compare": await client.call_tool("compare", {"item_ids": [item, other]}),
        "search": await client.call_tool("search", {"query": wish, "limit": 3}),
        "recommend": await client.call_tool("recommend", {"request": wish}),
    }
    assert not any(answer.is_error for answer in answers.values()), answers
    wrong = await client.call_tool("details", {"item_id": "nothing of ours"})
    assert wrong.is_error and "No item 'nothing of ours'" in wrong.content[0].text
    alone = await client.call_tool("compare", {"item_ids": [item]})
    assert alone.is_error
    return {name: answer.structured_content for name, answer in answers.items()}


def test_the_tools_over_the_lamp_shop(tmp_path: Path) -> None:
    agent = Agent(parts(), tmp_path / "c.sqlite")

    async def session() -> dict[str, Any]:
        async with Client(create(agent)) as client:
            assert "8 lamps" in str(client.instructions)
            bad = await client.call_tool("search", {"filters": ["price:le:cheap"]})
            assert bad.is_error and "no number" in bad.content[0].text
            return await used(client, "l1", "l2", "a desk lamp for reading")

    told = asyncio.run(session())
    assert told["details"]["facts"]["price"] == 40
    assert [i["id"] for i in told["recommend"]["items"]] == ["l1", "l2"]
    assert told["recommend"]["items"][0]["evidence"] and told["recommend"]["thread"] is None
    assert agent.conversations("api") == []  # the conversation was for this one answer
    agent.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_process_on_stdin_and_stdout(tmp_path: Path) -> None:
    books = ROOT / "catalog" / "data" / "books"
    variables = {**os.environ, "PARLEY_HOME": str(tmp_path), "PARLEY_CATALOG": str(books)}
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "agent.mcp"], env=variables, cwd=str(ROOT)
    )
    told = asyncio.run(over(server))
    assert len(told["recommend"]["items"]) == 5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_process_over_streamable_http(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    books = ROOT / "catalog" / "data" / "books"
    variables = {**os.environ, "PARLEY_HOME": str(tmp_path), "PARLEY_CATALOG": str(books)}
    command = [sys.executable, "-m", "agent.mcp", "--http", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=variables)
    try:
        limit = time.monotonic() + START_S
        while time.monotonic() < limit and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        told = asyncio.run(over(f"http://127.0.0.1:{port}/mcp"))
        assert len(told["recommend"]["items"]) == 5
    finally:
        process.terminate()
        process.wait()


async def over(server: StdioServerParameters | str) -> dict[str, Any]:
    async with Client(server, read_timeout_seconds=START_S) as client:
        found = await client.call_tool("search", {"limit": 2})
        one, other = (item["id"] for item in found.structured_content["items"])
        return await used(client, one, other, "a mystery in a small town")
