"""The database server that these tests share."""

from __future__ import annotations

import pytest

from tests.support.postgresql import Server


@pytest.fixture(scope="session")
def postgresql():
    with Server() as server:
        yield server
