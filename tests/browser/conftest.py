"""The event browser on simulated logs, in each layout."""

from __future__ import annotations

import pytest

from tests.support.browsing import LAYOUTS, open_world


@pytest.fixture(params=LAYOUTS)
async def world(request, autojump_clock):
    async with open_world(LAYOUTS[request.param]) as opened:
        yield opened
