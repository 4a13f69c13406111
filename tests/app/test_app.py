"""The port the page needs."""

import socket

import pytest

import app
from catalog.errors import ParleyError


def test_a_taken_port_is_named_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ParleyError, match=f"Port {port} on 127.0.0.1 is in use.*PARLEY_PORT"):
            app.check_port("127.0.0.1", port)
    app.check_port("127.0.0.1", port)


def test_an_address_that_is_not_this_machine_is_named() -> None:
    with pytest.raises(ParleyError, match=r"cannot listen on 192\.0\.2\.1:7860"):
        app.check_port("192.0.2.1", 7860)
