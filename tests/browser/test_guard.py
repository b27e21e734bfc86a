"""Who gets an answer from the event browser, and with which headers."""

from __future__ import annotations

import hmac

import pytest

from kafka_persist._browser import guard
from kafka_persist._browser.guard import Guard
from tests.support.asgi import ask

TOKEN = "secret-secret-secret"


async def page(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"what is stored"})


@pytest.fixture
def app():
    return Guard(page, TOKEN, ["browse.example"])


def bearer(token):
    return {"authorization": f"Bearer {token}"}


async def test_nobody_without_the_token_gets_anything(app):
    for headers in ({}, bearer(""), bearer("x"), bearer(TOKEN[:-1]), bearer("\xff\xfe"), {"cookie": "a=b; =; \x00"}):
        answer = await ask(app, "/events?id=x", **headers)
        assert answer.status == 401
        assert b"stored" not in answer.body
        assert "kafka-persist browse" in answer.text


async def test_the_token_is_compared_in_constant_time(app, monkeypatch):
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(guard.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or compare(a, b))
    await ask(app, "/", **bearer("guess"))
    assert compared == [(b"guess", TOKEN.encode())]


async def test_the_printed_address_leaves_a_cookie_and_no_token_in_the_history(app):
    welcome = await ask(app, f"/events?id=a+b&token={TOKEN}&from=3")
    assert welcome.status == 303
    assert welcome.headers["location"] == "/events?id=a+b&from=3"
    cookie = welcome.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert (await ask(app, "/events", cookie=cookie.partition(";")[0])).body == b"what is stored"


async def test_a_wrong_token_in_the_address_is_no_welcome(app):
    assert (await ask(app, "/?token=guess")).status == 401


async def test_nobody_is_sent_to_another_site(app):
    welcome = await ask(app, f"//evil.example/?token={TOKEN}")
    assert welcome.headers["location"] == "/"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:1234", "localhost", "LOCALHOST.:80", "[::1]:80", "10.1.2.3:80", "browse.example:443"]
)
async def test_addresses_and_known_names_are_answered(app, host):
    assert (await ask(app, "/", host=host, **bearer(TOKEN))).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[x", "a:b:c"]
)
async def test_another_host_name_is_refused_whatever_the_token(app, host):
    """A page of somebody else whose name was made to point here (DNS rebinding) has that name in the Host header."""
    answer = await ask(app, f"/?token={TOKEN}", host=host, **bearer(TOKEN))
    assert answer.status == 421
    assert b"stored" not in answer.body
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("headers", [bearer(TOKEN), {}])
async def test_no_page_loads_anything_from_elsewhere_or_is_kept(app, headers):
    found = (await ask(app, "/", **headers)).headers
    assert "default-src 'none'" in found["content-security-policy"]
    assert "unsafe" not in found["content-security-policy"]
    assert found["cache-control"] == "no-store"
    assert found["x-content-type-options"] == "nosniff"
    assert found["referrer-policy"] == "no-referrer"


def test_two_browsers_on_one_host_have_cookies_of_their_own():
    assert Guard(page, TOKEN).cookie != Guard(page, "another-token").cookie
