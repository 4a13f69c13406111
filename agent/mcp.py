"""Parley's tools for other agents, over the Model Context Protocol: search, recommend, details,
compare.

    python -m agent.mcp                        # on stdin and stdout: what a desktop client starts
    python -m agent.mcp --http --port 7861     # streamable HTTP at http://127.0.0.1:7861/mcp

Over HTTP the keys and the rate limit of the API hold (agent/api/guard.py).

The same catalogue, rules and verified replies as the page. ``recommend`` is a whole turn of the
dialogue manager in a conversation of its own, which is gone afterwards. Titles and texts of items
come back as data in typed fields; what a caller does with them is its own affair.
"""

import functools
import logging
import sys
from collections.abc import Callable
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from agent.agent import MAX_USER_CHARS, Agent
from agent.api.guard import Guard
from agent.api.items import Compared, Found, clause, found, side_by_side
from agent.api.views import ItemView, Reply, item_view, reply_view
from agent.settings import Settings, stay_local
from catalog.errors import ParleyError

MOST_ITEMS = 8  # compared at once
Query = Annotated[str, Field(max_length=1000, description="what the items are about, in words")]
Filters = Annotated[
    list[str],
    Field(max_length=20, description="field:op:value with any, all, none, ge or le, values by |"),
]
Limit = Annotated[int, Field(ge=1, le=50)]
ItemId = Annotated[str, Field(min_length=1, max_length=500)]
P = ParamSpec("P")
R = TypeVar("R")


def told(tool: Callable[P, R]) -> Callable[P, R]:
    """Our own errors reach the caller in their words; a bug stays a bug, and is logged."""

    @functools.wraps(tool)
    def safe(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return tool(*args, **kwargs)
        except ParleyError as error:
            raise ToolError(str(error)) from error

    return safe


def create(agent: Agent) -> MCPServer[Any]:
    """The server over one agent."""
    catalog = agent.catalog
    filters = ", ".join(f.name for f in catalog.domain.facets if f.filterable)
    server: MCPServer[Any] = MCPServer(
        name="parley",
        title="Parley",
        version="1.0",
        instructions=f"Recommendations from a catalogue of {catalog.count} "
        f"{catalog.domain.noun_many}. Use recommend for what a person would like, search for a "
        f"description, details and compare for facts. Filters rest on: {filters}.",
        log_level="WARNING",
    )

    @server.tool()
    @told
    def search(query: Query = "", filters: Filters = [], limit: Limit = 10) -> Found:  # noqa: B006
        """Find items by meaning among those that pass every filter; without a query, the best
        known. A filter is field:op:value, such as genres:any:Comedy|Drama or year:ge:1990."""
        clauses = [clause(text, agent.catalog) for text in filters]
        return Found(items=found(agent, query, clauses, limit))

    @server.tool()
    @told
    def recommend(
        request: Annotated[str, Field(min_length=1, max_length=MAX_USER_CHARS)],
    ) -> Reply:
        """Recommend items for what a person says, in their own words, wishes and dislikes and
        all. Every item satisfies what was asked for; reasons name the facts they rest on. When
        nothing fits, the reply says which wishes to give up."""
        return recommended(agent, request)

    @server.tool()
    @told
    def details(item_id: ItemId) -> ItemView:
        """Everything that the catalogue knows of one item, by its id."""
        return item_view(agent.catalog.item(item_id))

    @server.tool()
    @told
    def compare(
        item_ids: Annotated[list[ItemId], Field(min_length=2, max_length=MOST_ITEMS)],
    ) -> Compared:
        """Put two to eight items side by side and list the facets in which they differ."""
        return side_by_side(agent, item_ids)

    return server


def recommended(agent: Agent, request: str) -> Reply:
    """One turn in a conversation that is deleted afterwards."""
    user = "api"
    thread = agent.begin(user)
    try:
        turn = [event.turn for event in agent.turn(thread, request, user=user)][-1]
        assert turn is not None
        return reply_view(turn, agent.state(thread), agent.catalog, None)
    finally:
        agent.delete(thread, user=user)


def main(
    http: Annotated[bool, typer.Option("--http", help="streamable HTTP, not stdin")] = False,
    host: Annotated[str, typer.Option(help="address for --http")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port for --http", min=1, max=65535)] = 7861,
) -> None:
    """Serve Parley's tools over the Model Context Protocol. Settings: PARLEY_* as everywhere."""
    stay_local()
    logging.basicConfig(level="WARNING", stream=sys.stderr)  # stdout belongs to the protocol
    try:
        settings = Settings.load()
        agent = Agent.open(settings)
    except ParleyError as error:
        sys.exit(f"parley: {error}")
    server = create(agent)
    try:
        if http:
            app = server.streamable_http_app(stateless_http=True, host=host)
            uvicorn.run(Guard(app, settings), host=host, port=port, log_level="warning")
        else:
            server.run("stdio")
    finally:
        agent.close()


if __name__ == "__main__":
    typer.run(main)
