"""The event browser on a real socket, and the command that starts it."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from kafka_persist import UsageError
from kafka_persist.__main__ import main
from kafka_persist._browser.serving import listening, serve_until
from kafka_persist._commands.browse import chosen_token, is_loopback
from tests.support.browsing import LAYOUTS, TOKEN, open_world


async def request(port, path, *headers):
    """What comes back from a real connection."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
        await stream.send_all("\r\n".join(lines).encode())
        return b"".join([piece async for piece in stream]).decode()


async def test_it_answers_and_ends_though_a_page_still_follows():
    with trio.fail_after(20):
        async with open_world(LAYOUTS["topic-per-id"]) as world, trio.open_nursery() as nursery:
            world.browse()
            bound = await listening("127.0.0.1", 0)
            (address,) = await nursery.start(serve_until, world.app, bound, world.stop)
            port = int(address.rpartition(":")[2])
            authorized = f"Authorization: Bearer {TOKEN}"
            assert (await request(port, "/")).startswith("HTTP/1.1 401")
            found = await request(port, "/", authorized)
            assert found.startswith("HTTP/1.1 200")
            assert "content-security-policy" in found.lower()
            assert "server:" not in found.lower()
            nursery.start_soon(request, port, "/live?id=x", authorized)
            await trio.testing.wait_all_tasks_blocked(0.05)
            world.stop.set()


async def test_an_address_that_is_taken_is_one_sentence():
    with await listening("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen at 127.0.0.1, port {port}: Address already in use"):
            await listening("127.0.0.1", port)
    with pytest.raises(UsageError, match="cannot listen at no"):
        await listening("no.such.host.invalid", 0)


@pytest.mark.parametrize("token", ["short", "x" * 20 + " ", "é" * 20])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(monkeypatch, capsys, token):
    monkeypatch.setenv("KAFKA_PERSIST_BROWSE_TOKEN", token)
    assert main(["browse"]) == 2
    assert "at least 16 ASCII" in capsys.readouterr().err


def test_each_start_has_a_token_of_its_own(monkeypatch):
    monkeypatch.delenv("KAFKA_PERSIST_BROWSE_TOKEN", raising=False)
    assert chosen_token() != chosen_token()
    assert len(chosen_token()) >= 32


def test_without_the_extra_the_command_says_what_to_install(monkeypatch, capsys):
    from kafka_persist._commands import browse

    monkeypatch.setattr(browse, "NEEDED", ("no_such_module_here",))
    assert main(["browse"]) == 2
    assert "pip install 'kafka-persist[browser]'" in capsys.readouterr().err


def test_a_group_needs_its_topics(capsys):
    assert main(["browse", "--group", "g"]) == 2
    assert "--group and --topic belong together" in capsys.readouterr().err


def test_loopback():
    assert [is_loopback(each) for each in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.1", "kitchen")] == [
        True
    ] * 3 + [False] * 3
