"""Each page of the event browser, in both layouts, on simulated logs."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from kafka_persist import Tagged, caused_by, event_context
from kafka_persist._browser.library import MAX_IDS, PAGE
from kafka_persist.model import PersistentRepr
from tests.support.browsing import ACCOUNT, Deposited

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202etxt.exe\x1b[31m"


def at(page, **query):
    return f"{page}?{urlencode(query)}"


async def test_ids_are_found_by_how_they_begin_and_a_whole_one_leads_to_its_events(autojump_clock, world):
    persistence = world.persistence()
    for name in ("account-1", "account-2", "order/3"):
        await world.deposit(persistence, name, Deposited(1))
    world.browse()
    everything = await world.get("/")
    assert [name in everything.words for name in ("account-1", "account-2", "order/3")] == [True] * 3
    some = await world.get("/?q=account")
    assert "2 ids that begin with account" in some.words
    assert "order/3" not in some.words
    assert (await world.get("/?q=order/3", 303)).headers["location"] == "/events?id=order%2F3"
    assert "No id begins with x" in (await world.get("/?q=x")).words


async def test_an_empty_journal_says_so(autojump_clock, world):
    world.browse()
    assert "Nothing has been written yet" in (await world.get("/")).words
    assert "Nothing has been written yet" in (await world.get("/lag")).words


async def test_events_have_all_that_is_stored(autojump_clock, world):
    persistence = world.persistence()
    large = Tagged(Deposited(70_000, "tea"), tags={"large"}, metadata={"by": "teller 3"})
    await world.deposit(persistence, "account-1", Deposited(500), large)
    world.browse()
    found = (await world.get("/events?id=account-1")).words
    for word in (
        "Deposited",
        "version 1",
        '"cents": 500',
        '"note": "tea"',
        "large",
        '"by": "teller 3"',
        "highest number 2",
    ):
        assert word in found


async def test_pages_go_by_number_through_an_id_of_any_length(autojump_clock, world):
    """Newest first shown; older and newer; a number in the middle; both ends."""
    count = 5 * PAGE + 7
    persistence = world.persistence()
    async with persistence.entity("long", initial=0, evolve=lambda state, event: state + event) as entity:
        await entity.persist(*[1] * count)
    world.browse()

    async def numbers(path):
        page = await world.get(path)
        return [int(link.rpartition("=")[2]) for link in page.links if link.startswith("/event?")], page

    shown, page = await numbers("/events?id=long")
    assert shown == list(range(count - PAGE + 1, count + 1))
    seen = set(shown)
    while older := [link for link in page.links if f'rel="prev" href="{link}"'.replace("&", "&amp;") in page.text]:
        shown, page = await numbers(older[0])
        seen |= set(shown)
    assert seen == set(range(1, count + 1))
    shown, page = await numbers("/events?id=long&from=100")
    assert shown == list(range(100, 100 + PAGE))
    assert at("/events", id="long", **{"from": 100 + PAGE}) in page.links
    assert "No events from number" in (await world.get(f"/events?id=long&from={count + 1}")).words


async def test_deleted_events_are_no_pages(autojump_clock, world):
    persistence = world.persistence()
    await world.deposit(persistence, "account-1", *map(Deposited, range(5)))
    await persistence.journal.delete_to("account-1", 3)
    world.browse()
    found = await world.get("/events?id=account-1&from=1")
    assert "deleted up to 3" in found.words
    assert "/event?id=account-1&nr=4" in found.links
    assert "/event?id=account-1&nr=3" not in found.links
    assert "It is deleted" in (await world.get("/event?id=account-1&nr=2", 404)).words
    assert "The highest number is 5" in (await world.get("/event?id=account-1&nr=9", 404)).words


async def test_an_event_shows_what_it_did_to_the_state(autojump_clock, world):
    persistence = world.persistence()
    await world.deposit(persistence, "account-1", Deposited(500, "first"), Deposited(20, "second"), Deposited(0))
    world.browse(ACCOUNT)
    second = (await world.get("/event?id=account-1&nr=2")).words
    assert ".cents 500 520" in second
    assert '.notes[1] nothing "second"' in second
    assert ".cents 0 500" in (await world.get("/event?id=account-1&nr=1")).words
    assert "did not change the state" in (await world.get("/event?id=account-1&nr=3")).words


async def test_a_state_that_cannot_be_made_is_a_sentence_beside_the_event(autojump_clock, world):
    persistence = world.persistence()
    await world.deposit(persistence, "account-1", Deposited(1, "refuse"))
    world.browse(ACCOUNT)
    found = await world.get("/event?id=account-1&nr=1")
    assert "no such deposit" in found.words
    assert '"note": "refuse"' in found.words


async def test_without_the_programs_type_the_page_says_how_to_see_states(autojump_clock, world):
    persistence = world.persistence()
    await world.deposit(persistence, "other-1", Deposited(1))
    world.browse(ACCOUNT)
    assert "--entity" in (await world.get("/event?id=other-1&nr=1")).words


async def test_states_begin_at_snapshots_where_events_are_deleted(autojump_clock, world):
    persistence = world.persistence()
    options = {"initial": ACCOUNT.initial, "evolve": ACCOUNT.evolve}
    async with persistence.entity("account-1", **options) as account:
        await account.persist(Deposited(1), Deposited(2))
        await account.save_snapshot()
        await account.persist(Deposited(4))
    await persistence.journal.delete_to("account-1", 2)
    world.browse(ACCOUNT)
    assert ".cents 3 7" in (await world.get("/event?id=account-1&nr=3")).words
    listed = await world.get("/snapshots?id=account-1&nr=2")
    assert "Snapshot as of event 2" in listed.words
    assert '"cents": 3' in listed.words
    assert "no snapshot as of event 1 any more" in (await world.get("/snapshots?id=account-1&nr=1")).words


async def test_links_lead_from_an_event_to_its_cause_and_to_all_of_a_request(autojump_clock, world):
    persistence = world.persistence()
    with event_context(correlation_id="request 7"):
        await world.deposit(persistence, "account-1", Deposited(1))
    async with persistence.journal.replay("account-1") as events:
        cause = await events.receive()
    assert isinstance(cause, PersistentRepr)
    with caused_by(cause):
        await world.deposit(persistence, "other", Deposited(2))
    await world.deposit(persistence, "account-3", Deposited(3))
    world.browse()
    caused = await world.get("/event?id=other&nr=1")
    assert at("/event", id="account-1", nr=1) in caused.links
    assert at("/correlation", value="request 7") in caused.links
    found = await world.get(at("/correlation", value="request 7"))
    assert "2 events found; 3 events of 3 ids" in found.words
    assert "account-3" not in found.words


async def test_claims_and_fenced_records_are_told(autojump_clock, world):
    first, second = world.persistence(), world.persistence()
    await world.deposit(first, "account-1", Deposited(1))
    await world.deposit(second, "account-1", Deposited(2))
    world.browse()
    found = (await world.get("/log?id=account-1")).words
    assert found.count("claim") >= 2
    assert "process " in found
    assert "published up to" in found
    assert "Another writer took over here" in (await world.get("/events?id=account-1")).words


async def test_publication_of_every_log_is_on_one_page(autojump_clock, world):
    persistence = world.persistence()
    await world.deposit(persistence, "account-1", Deposited(1), Deposited(2))
    world.browse()
    found = (await world.get("/lag")).words
    assert " looked at" in found
    assert " 0 2 2 " in found  # nothing of two events is known to be published
    assert "--group" in found


@pytest.mark.parametrize("page", ["events", "event", "snapshots", "correlation", "log", "ids"])
async def test_what_is_stored_is_never_markup(autojump_clock, world, page):
    """A payload, an id, a name, a tag and metadata that try to be part of the page, or to turn its text around."""
    persistence = world.persistence()
    name = f"account-{HOSTILE}"
    hostile = Tagged({HOSTILE: [HOSTILE]}, tags={HOSTILE}, metadata={"correlation-id": HOSTILE, HOSTILE: HOSTILE})
    async with persistence.entity(name, initial={"state": HOSTILE}, evolve=lambda state, _: state) as entity:
        await entity.persist(hostile)
        await entity.save_snapshot()
    world.browse()
    paths = {
        "events": at("/events", id=name),
        "event": at("/event", id=name, nr=1),
        "snapshots": at("/snapshots", id=name, nr=1),
        "correlation": at("/correlation", value=HOSTILE),
        "log": at("/log", id=name),
        "ids": at("/", q="account-<"),
    }
    found = await world.get(paths[page])
    assert "alert(1)" in found.text
    assert "<script>alert" not in found.text
    assert "<img" not in found.text
    outside = re.sub(r'value="[^"]*"', "", found.text)  # fields of forms have the exact text
    assert "\x1b" not in outside
    assert "\u202e" not in outside
    assert "\\u202e" in outside


async def test_large_events_are_cut_in_the_list_and_whole_on_their_page(autojump_clock, world):
    persistence = world.persistence()
    await world.deposit(persistence, "account-1", Deposited(1, "x" * 50_000))
    world.browse()
    listed = await world.get("/events?id=account-1")
    assert len(listed.body) < 20_000
    assert "characters more" in listed.words
    assert "x" * 50_000 in (await world.get("/event?id=account-1&nr=1")).text


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/events?id=nobody", 404, "'nobody' has never been written"),
        ("/events", 400, "must not be empty"),
        ("/events?id=x&from=abc", 400, "'abc' is not a number from 1 on"),
        ("/events?id=x&from=-1", 400, "is not a number"),
        ("/events?id=x&from=99999999999999999999", 400, "is not a number"),
        (f"/events?id={'x' * 1001}", 400, "longer than 1000 characters"),
        ("/nothing", 404, "Not Found"),
        ("/log?id=nobody", 200, ""),
        ("/static/../guard.py", 404, "Not Found"),
    ],
)
async def test_errors_are_one_sentence(autojump_clock, world, path, status, sentence):
    world.browse()
    assert sentence in (await world.get(path, status)).words


async def test_damage_is_told_with_its_place(autojump_clock, world):
    persistence = world.persistence()
    await world.deposit(persistence, "account-1", Deposited(1))
    topic = next(iter(world.broker.topics))
    for partition in world.broker.topics[topic].partitions:
        partition.append(b"key", b"no record")
    world.browse()
    found = await world.get("/events?id=account-1", 500)
    assert topic in found.words
    assert "CorruptRecord" in (await world.get("/log?id=account-1")).words


async def test_nothing_can_be_changed(autojump_clock, world):
    from tests.support.asgi import ask
    from tests.support.browsing import TOKEN

    world.browse()
    before = {name: [each.end for each in topic.partitions] for name, topic in world.broker.topics.items()}
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = await ask(world.app, "/events?id=x", method, authorization=f"Bearer {TOKEN}")
        assert answer.status == 405
    for path in ("/", "/lag", "/log?id=new", "/snapshots?id=new", "/correlation?value=x"):
        await world.get(path)
    assert {name: [each.end for each in topic.partitions] for name, topic in world.broker.topics.items()} == before


async def test_style_and_script_are_the_packages_own(autojump_clock, world):
    world.browse()
    page = await world.get("/")
    assert [link for link in page.links if "//" in link] == []
    for path in ("/static/browser.css", "/static/browser.js", "/static/icon.svg"):
        assert (await world.get(path)).body
    assert "http" not in (await world.get("/static/browser.css")).text


def test_lists_have_bounds():
    assert PAGE <= 100
    assert MAX_IDS <= 1000
