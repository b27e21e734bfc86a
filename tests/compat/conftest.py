"""What the modules that need a broker share."""

import pytest


@pytest.fixture(scope="session")
def kraft_server(kafka_server_factory):
    return kafka_server_factory("kraft")
