"""The pages: an address each. All of them only read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from jinja2 import Environment
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from ..entity_type import EntityType
from ..errors import PersistenceError, StoredDataError, UsageError, printable
from .asked import asked_id, asked_number
from .correlation import correlated
from .folding import States, Step
from .guard import Guard
from .library import PAGE, Library
from .live import MAX_TAILS, Tail
from .rendering import address, make_environment

STATIC: Final = Path(__file__).parent / "static"

MAX_PUBLICATION: Final = 100
"""Ids whose publication one page looks at: of each one the log is read."""


@attrs.define(eq=False)
class Pages:
    """What the addresses answer.

    Attributes:
        library: what is stored.
        states: the program's states of it.
        where: the brokers and the layout, for the page's foot.
        consumers: how far consumer groups are behind; None if none were named.
        stop: set when the server ends: pages that follow end, too.
    """

    library: Library
    states: States
    where: str
    consumers: Callable[[], Awaitable[Sequence[dict[str, Any]]]] | None = None
    stop: trio.Event = attrs.field(factory=trio.Event)
    _tails: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(MAX_TAILS))
    _templates: Environment = attrs.field(factory=make_environment)

    def _page(self, name: str, status: int = 200, **values: Any) -> Response:
        template = self._templates.get_template(f"{name}.html")
        return HTMLResponse(template.render(where=self.where, **values), status)

    async def start(self, request: Request) -> Response:
        """Ids, and the search for them: a whole id leads to its events."""
        prefix = request.query_params.get("q", "").strip()
        if prefix and len(prefix) <= 1000 and await self.library.journal.highest_sequence_nr(prefix):
            return RedirectResponse(address("/events", id=prefix), 303)
        ids, more = await self.library.ids(prefix)
        return self._page("ids", prefix=prefix, ids=ids, more=more)

    async def events(self, request: Request) -> Response:
        """A page of an id's events."""
        persistence_id = asked_id(request)
        first = asked_number(request, "from", 0) or None
        page = await self.library.page(persistence_id, first)
        if not page.highest:
            raise HTTPException(404, f"{printable(persistence_id)} has never been written.")
        return self._page("events", id=persistence_id, page=page, size=PAGE)

    async def event(self, request: Request) -> Response:
        """One event, and what it did to the state."""
        persistence_id, number = asked_id(request), asked_number(request, "nr", 1)
        page = await self.library.page(persistence_id, number, 1)
        event = next((each for each in page.events if each["sequence_nr"] == number), None)
        step: Step | None = None
        problem = ""
        if event is not None:
            try:
                step = await self.states.step(persistence_id, number)
            except PersistenceError as error:
                problem = str(error)
        status = 200 if event is not None else 404
        return self._page(
            "event", status, id=persistence_id, number=number, event=event, page=page, step=step, problem=problem
        )

    async def snapshots(self, request: Request) -> Response:
        """The snapshots of an id, and what is in one of them."""
        persistence_id, number = asked_id(request), asked_number(request, "nr", -1, low=0)
        found = await self.library.snapshots(persistence_id)
        opened = await self.library.snapshot(persistence_id, number) if number >= 0 else None
        return self._page("snapshots", id=persistence_id, snapshots=found, number=number, opened=opened)

    async def log(self, request: Request) -> Response:
        """Claims, fences and what is wrong in an id's log, read from its start."""
        persistence_id = asked_id(request)
        history = self.library.history
        story = await history.story(persistence_id)
        is_sound = story is not None and not story.report.problems
        published = await history.published(persistence_id) if is_sound else None
        return self._page("log", id=persistence_id, story=story, published=published, is_shared=history.is_shared)

    async def lag(self, request: Request) -> Response:
        """How far publication and consumers are behind."""
        history = self.library.history
        more = False
        if history.is_shared:
            logs = await history.published_logs()
        else:
            ids, more = await self.library.ids(request.query_params.get("q", "").strip())
            found = [await history.published(each) for each in ids[:MAX_PUBLICATION]]
            logs = [each for each in found if each is not None]
            more = more or len(ids) > MAX_PUBLICATION
        groups = None if self.consumers is None else await self.consumers()
        prefix = request.query_params.get("q", "").strip()
        return self._page("lag", logs=logs, groups=groups, more=more, prefix=prefix, is_shared=history.is_shared)

    async def correlation(self, request: Request) -> Response:
        """The events that one request led to."""
        value, prefix = request.query_params.get("value", "").strip(), request.query_params.get("q", "").strip()
        found = await correlated(self.library, value, prefix) if value else None
        return self._page("correlation", value=value, prefix=prefix, found=found)

    async def live(self, request: Request) -> ASGIApp:
        """New events of an id, as they come."""
        persistence_id, after = asked_id(request), asked_number(request, "after", 0, low=0)
        macro = self._templates.get_template("event_item.html").module.item  # type: ignore[attr-defined]  # a macro of it

        def render(event: dict[str, Any]) -> str:
            return str(macro(persistence_id, event))

        return _Limited(Tail(self.library, persistence_id, after, render, self.stop), self._tails)

    async def failed(self, request: Request, error: Exception) -> Response:
        """An error as one sentence."""
        if isinstance(error, HTTPException):
            status, text = error.status_code, error.detail
        elif isinstance(error, UsageError):
            status, text = 400, str(error)
        elif isinstance(error, StoredDataError):
            status, text = 500, str(error)
        else:
            status, text = 502, str(error)
        return self._page("error", status, code=status, text=text)

    def routes(self) -> list[Route | Mount]:
        """The addresses."""
        pages = (self.start, self.events, self.event, self.snapshots, self.log, self.lag, self.correlation, self.live)
        paths = ["/" if page == self.start else f"/{page.__name__}" for page in pages]
        return [
            *(Route(path, page, methods=["GET"]) for path, page in zip(paths, pages, strict=True)),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]


@attrs.frozen
class _Limited:
    """An answer that goes on and on: only so many at a time."""

    tail: Tail
    limit: trio.CapacityLimiter

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            self.limit.acquire_on_behalf_of_nowait(self)
        except trio.WouldBlock:
            busy = HTMLResponse(f"{MAX_TAILS} pages follow already.", 503)
            await busy(scope, receive, send)
            return
        try:
            await self.tail(scope, receive, send)
        finally:
            self.limit.release_on_behalf_of(self)


def make_app(
    library: Library,
    *,
    token: str,
    types: Sequence[EntityType[Any, Any]] = (),
    names: Sequence[str] = (),
    where: str = "",
    consumers: Callable[[], Awaitable[Sequence[dict[str, Any]]]] | None = None,
    stop: trio.Event | None = None,
) -> Guard:
    """The whole browser as an ASGI application.

    Args:
        library: what is stored.
        token: what requests must know.
        types: the program's entity types, for states.
        names: host names that are answered, beside addresses and localhost.
        where: what is shown, for the foot of the pages.
        consumers: how far consumer groups are behind; None if none were named.
        stop: when it is set, pages that follow end.
    """
    pages = Pages(library, States(library, types), where, consumers, trio.Event() if stop is None else stop)
    handlers: dict[Any, Any] = {HTTPException: pages.failed, PersistenceError: pages.failed}
    return Guard(Starlette(routes=pages.routes(), exception_handlers=handlers), token, names)
