"""Parley's chat page on this machine: what `make chat` starts.

    python app.py                       # http://127.0.0.1:7860
    PARLEY_PORT=8080 python app.py      # every setting: agent/settings.py

The heavy imports stand inside ``serve``, so that a wrong setting or a taken port is said at
once, and so that the libraries find the environment that keeps them off the network.
"""

import errno
import socket
import sys
import time

from agent.logs import set_up_logs
from agent.settings import Settings, stay_local
from catalog.errors import ParleyError


def main() -> None:
    """Check what can be checked at once, then open the agent and serve until interrupted."""
    started = time.monotonic()
    stay_local()
    try:
        settings = Settings.load()
        set_up_logs(settings)
        check_port(settings.host, settings.port)
        serve(settings, started)
    except ParleyError as error:
        sys.exit(f"parley: {error}")


def check_port(host: str, port: int) -> None:
    """Raise ``ParleyError`` naming address and remedy when the page could not listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ParleyError(
                f"Port {port} on {host} is in use, perhaps by another Parley. Stop that one, or "
                f"choose another port: PARLEY_PORT={port + 1 if port < 65535 else 7860} make chat"
            ) from error
        raise ParleyError(
            f"The page cannot listen on {host}:{port} ({error}). Choose another address with "
            "PARLEY_HOST and PARLEY_PORT."
        ) from error


def serve(settings: Settings, started: float) -> None:
    """Open the agent and the page; returns when interrupted."""
    print("Parley opens its catalogue and models ...", flush=True)
    import uvicorn
    from uvicorn.config import LOGGING_CONFIG

    from agent.agent import Agent
    from agent.telemetry import send_spans
    from page.server import create

    class Announced(uvicorn.Server):
        """Says where the page is once it can be opened."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            shown = f"[{settings.host}]" if ":" in settings.host else settings.host
            print(f"Parley is ready on http://{shown}:{settings.port}", flush=True)
            print(f"({time.monotonic() - started:.0f} s; Ctrl-C ends it)", flush=True)

    send_spans(settings)
    app = create(Agent.open(settings), settings)
    Announced(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_level=settings.log_level,
            # uvicorn's own lines have a form of their own, unless all are to be JSON.
            log_config=None if settings.log_format == "json" else LOGGING_CONFIG,
            access_log=False,  # an address may hold words: what is typed into a search
            timeout_graceful_shutdown=3,  # a turn that is cut off goes on at the next start
        )
    ).run()


if __name__ == "__main__":
    main()
