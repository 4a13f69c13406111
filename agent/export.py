"""Everything that is kept of one person, as one JSON document.

    python -m agent.export --user NAME --out ann.json
    python -m agent.export --user NAME --forget      # delete it instead; asks first

``NAME`` is the key that the page's profile shows, or the name that a program gave. The page has
both as buttons, and "forget everything about me" in the chat deletes as well.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from agent.checkpoints import database_of, open_memory
from agent.errors import AgentError
from agent.graph import build
from agent.history import History
from agent.keeping import Keeping
from agent.profile import Profiles
from agent.settings import Settings, stay_local
from catalog.errors import ParleyError


def main(
    user: Annotated[str, typer.Option(help="Whose: the key that the page shows.")],
    out: Annotated[Path | None, typer.Option(help="A file; default: standard output.")] = None,
    forget: Annotated[bool, typer.Option(help="Delete everything of this person.")] = False,
    yes: Annotated[bool, typer.Option(help="Do not ask before deleting.")] = False,
) -> None:
    """Write, or delete, everything that is kept of one person."""
    stay_local()
    try:
        memory = open_memory(database_of(Settings.load()))
        try:
            graph = build(memory.saver)
            profiles = Profiles(memory.store)
            keeping = Keeping(memory, graph, History(memory.store), profiles)
            if forget:
                if not yes:
                    typer.confirm(f"Delete everything that is kept of {user}?", abort=True)
                count = keeping.forget(user)
                typer.echo(f"Deleted: the profile and {count} conversations of {user}.")
                return
            text = json.dumps(keeping.export(user), ensure_ascii=False, indent=1)
            write(text, out)
        finally:
            memory.close()
    except ParleyError as error:
        typer.echo(f"parley: {error}", err=True)
        raise typer.Exit(2) from error


def write(text: str, out: Path | None) -> None:
    """To the file, or to standard output. ``AgentError`` names a place that cannot be written."""
    if out is None:
        sys.stdout.write(text + "\n")
        return
    try:
        out.write_text(text + "\n", "utf-8")
    except OSError as error:
        raise AgentError(f"{out} cannot be written ({error}): give another --out.") from error


if __name__ == "__main__":
    typer.run(main)
