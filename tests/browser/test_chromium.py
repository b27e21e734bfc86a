"""The event browser in a real one: headless Chromium, by itself in `nox -s browser`, which can also take the pictures of the docs."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from kafka_persist import Tagged, event_context
from kafka_persist._browser.serving import listening, serve_until
from tests.support.browsing import ACCOUNT, LAYOUTS, TOKEN, Deposited, open_world

pytestmark = [pytest.mark.chromium]

PICTURES = os.environ.get("KAFKA_PERSIST_PICTURES")
WIDE, NARROW = {"width": 1200, "height": 800}, {"width": 390, "height": 800}
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


async def fill(world):
    persistence = world.persistence()
    with event_context(correlation_id="request-7f3a", metadata={"by": "teller 3"}):
        tagged = Tagged(Deposited(70_000, "house"), tags={"large"})
        await world.deposit(persistence, "account-4711", *map(Deposited, (500, 1250, 40)), tagged)
    options = {"initial": ACCOUNT.initial, "evolve": ACCOUNT.evolve}
    async with persistence.entity("account-4711", **options) as account:
        await account.save_snapshot()
        with event_context(correlation_id="request-80c1"):
            await account.persist(Deposited(-1200, "rent"))
    for number in range(4712, 4720):
        await world.deposit(persistence, f"account-{number}", Deposited(number))
    await world.deposit(persistence, "hostile", Tagged(Deposited(1, HOSTILE), tags={HOSTILE}))
    return world.persistence()


class Server:
    """The browser's server and a program that writes, on a thread of their own."""

    def __init__(self) -> None:
        self.address = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with open_world(LAYOUTS["topic-per-id"]) as self.world, trio.open_nursery() as nursery:
            self.program = await fill(self.world)
            self.world.browse(ACCOUNT)
            addresses = await nursery.start(
                serve_until, self.world.app, await listening("127.0.0.1", 0), self.world.stop
            )
            self.address = addresses[0]
            self._ready.set()

    def deposit(self, name, *events) -> None:
        trio.from_thread.run(self.world.deposit, self.program, name, *events, trio_token=self._token)

    @contextmanager
    def running(self):
        self._thread.start()
        try:
            assert self._ready.wait(30)
            yield self
        finally:
            trio.from_thread.run_sync(self.world.stop.set, trio_token=self._token)
            self._thread.join(30)
            assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def server():
    with Server().running() as running:
        yield running


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "there is no Chromium here: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])  # CI is root
        yield browser
        browser.close()


@pytest.fixture
def page(server, chromium):
    """A page that knows the token; whatever it complains of fails the test."""
    context = chromium.new_context(viewport=WIDE)
    opened = context.new_page()
    opened.complaints = []
    opened.on("console", lambda message: opened.complaints.append(message.text))
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.on("request", lambda asked: opened.complaints.append(asked.url) if server.address not in asked.url else None)
    opened.goto(f"{server.address}/?token={TOKEN}")
    yield opened
    context.close()
    assert opened.complaints == []


def test_the_token_is_gone_from_the_address(page, server):
    assert page.url == f"{server.address}/"
    assert page.get_by_role("heading", name="Persistence ids").is_visible()


def test_without_a_token_there_is_nothing(chromium, server):
    context = chromium.new_context()
    opened = context.new_page()
    assert opened.goto(f"{server.address}/").status == 401
    context.close()


def test_from_a_search_to_what_an_event_did(page):
    page.get_by_label("Persistence id").fill("account-4711")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="event 4").first.click()
    changed = page.get_by_role("table", name="What event 4 changed")
    assert changed.locator("ins").all_inner_texts() == ["71790", '"house"']
    page.get_by_role("link", name="request-7f3a").click()
    page.get_by_text("4 events found").wait_for()


def test_events_appear_while_the_page_follows(page, server):
    page.goto(f"{server.address}/events?id=account-4712")
    page.get_by_role("button", name="Follow").click()
    page.get_by_role("status").get_by_text("Following").wait_for()
    server.deposit("account-4712", Deposited(77, "came later"))
    page.get_by_text("came later").wait_for()
    page.get_by_role("status").get_by_text("Following: 1 new").wait_for()
    page.get_by_role("button", name="Follow").click()
    assert page.get_by_role("button", name="Follow").get_attribute("aria-pressed") == "false"


def test_what_is_stored_runs_nothing(page, server):
    """Stored before, and sent while the page follows."""
    page.goto(f"{server.address}/events?id=hostile")
    page.get_by_role("button", name="Follow").click()
    server.deposit("hostile", Deposited(2, HOSTILE))
    page.get_by_role("status").get_by_text("1 new").wait_for()
    assert page.locator(".event").count() == 2
    assert page.locator(".event img, .event script").count() == 0
    assert page.title().startswith("hostile")


def test_everything_is_reached_with_the_keyboard(page, server):
    page.goto(f"{server.address}/events?id=account-4711")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    names = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        names.add(page.evaluate("document.activeElement.textContent.trim()"))
    assert {"Snapshots", "Claims and fences", "Oldest", "Newest", "Go", "Follow", "event 1"} <= names
    page.locator("#e1").focus()
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.id") == "e2"


ADDRESSES = {
    "ids": "/",
    "events": "/events?id=account-4711",
    "event": "/event?id=account-4711&nr=5",
    "snapshots": "/snapshots?id=account-4711&nr=4",
    "log": "/log?id=account-4711",
    "lag": "/lag",
    "correlation": "/correlation?value=request-7f3a",
}

IN_THE_DOCS = {
    ("events", "wide", "light"),
    ("events", "wide", "dark"),
    ("event", "wide", "light"),
    ("event", "narrow", "dark"),
}

CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => { for (; node; node = node.parentElement) { const c = rgb(getComputedStyle(node).backgroundColor); if (c[3] === 255) return c; }
    return rgb("white"); };
  const poor = [];
  for (const node of document.querySelectorAll("body *")) {
    if (![...node.childNodes].some((each) => each.nodeType === 3 && each.textContent.trim())) continue;
    if (!node.checkVisibility() || node.closest(".hidden, .skip")) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(`${node.tagName}.${node.className}: ${node.textContent.trim().slice(0, 30)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", ADDRESSES)
def test_pages_can_be_read_in_light_and_dark_wide_and_narrow(page, server, name, size, scheme):
    """Enough contrast (WCAG AA), one main heading, nothing wider than the screen, a name for each field and button."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(size)
    page.goto(server.address + ADDRESSES[name])
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.locator("h1").count() == 1
    nameless = "[...document.querySelectorAll('input:not([type=hidden]), button')].filter((e) => !(e.labels?.length || e.textContent.trim()))"
    assert page.evaluate(f"{nameless}.length") == 0
    kind = "wide" if size is WIDE else "narrow"
    if PICTURES and (name, kind, scheme) in IN_THE_DOCS:
        (Path(PICTURES) / f"browser-{name}-{kind}-{scheme}.png").write_bytes(page.screenshot(full_page=True))
