"""The jars: pinned, checked, fetched once, offline afterwards. The repository is a real HTTP server on this machine."""

from __future__ import annotations

import functools
import http.server
import threading

import pytest

from kafka_persist_testkit import ServerUnavailable
from kafka_persist_testkit._engines import jars

VERSION = "3.9.1"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="session")
def filled_cache():
    """The user's own cache with all jars in it: what the other tests run from."""
    jars.classpath(VERSION)
    return jars.cache_directory() / "jars"


@pytest.fixture
def empty_cache(monkeypatch, tmp_path, filled_cache):
    monkeypatch.setenv(jars.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "jars"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def repository(monkeypatch):
    """Serve a directory as a Maven repository."""
    servers = []

    def serve(directory):
        handler = functools.partial(Quiet, directory=str(directory))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        servers.append((server, thread))
        monkeypatch.setenv("KAFKA_PERSIST_TEST_MAVEN", f"http://127.0.0.1:{server.server_port}")

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def few_jars(monkeypatch):
    """A short list, of real jars, so that a test need not move 50 MB."""
    short = sorted(jars.read_list(VERSION), key=lambda jar: jar.size)[:5]
    monkeypatch.setattr(jars, "read_list", lambda _: short)
    return short


@pytest.mark.parametrize(("version", "core"), [("3.9.1", 57), ("4.1.0", 46)])
def test_every_jar_of_a_version_is_pinned(version, core):
    listed = jars.read_list(version)

    assert len(listed) == core
    assert {len(jar.sha256) for jar in listed} == {64}
    assert f"org.apache.kafka:kafka-clients:{version}" in {jar.coordinate for jar in listed}


def test_what_is_missing_is_fetched_and_checked(empty_cache, repository, filled_cache, few_jars, capsys):
    repository(filled_cache)

    paths = jars.classpath(VERSION)

    assert all(path.is_relative_to(empty_cache) for path in paths)
    assert [jar.is_intact(path) for jar, path in zip(few_jars, paths, strict=True)] == [True] * 5
    assert "5 of 5 jars" in capsys.readouterr().err
    assert list(empty_cache.glob(".incoming-*")) == []


def test_nothing_is_asked_of_the_network_once_the_cache_is_filled(filled_cache, monkeypatch, capsys):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "KAFKA_PERSIST_TEST_MAVEN"):
        monkeypatch.setenv(name, NOWHERE)

    assert len(jars.classpath(VERSION)) == 57
    assert capsys.readouterr().err == ""


def test_without_network_and_cache_the_error_names_the_jar(empty_cache, monkeypatch, few_jars):
    monkeypatch.setenv("KAFKA_PERSIST_TEST_MAVEN", NOWHERE)

    with pytest.raises(ServerUnavailable, match=r"cannot fetch \S+: "):
        jars.classpath(VERSION)


def test_a_jar_that_is_not_what_the_list_says_is_not_used(empty_cache, repository, filled_cache, few_jars, tmp_path):
    forged = tmp_path / "forged"
    for jar in few_jars:
        target = forged / jar.path
        target.parent.mkdir(parents=True)
        target.write_bytes(b"not what was asked for")
    repository(forged)

    with pytest.raises(ServerUnavailable, match="its SHA-256 is not"):
        jars.classpath(VERSION)
    assert list(empty_cache.rglob("*.jar")) == []


def test_a_jar_that_was_damaged_in_the_cache_is_fetched_again(empty_cache, repository, filled_cache, few_jars):
    repository(filled_cache)
    damaged = jars.classpath(VERSION)[0]
    damaged.write_bytes(b"bit rot")

    assert few_jars[0].is_intact(jars.classpath(VERSION)[0])


def test_two_that_fetch_at_once_share_the_work(empty_cache, repository, filled_cache, few_jars, capsys):
    repository(filled_cache)
    threads = [threading.Thread(target=jars.classpath, args=(VERSION,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(jar.is_intact(empty_cache / jar.path) for jar in few_jars)
    assert capsys.readouterr().err.count("0 of 5 jars") == 1


def test_a_version_without_a_list_is_refused():
    with pytest.raises(ServerUnavailable, match=r"no list of jars is shipped for Kafka 2\.0\.0"):
        jars.read_list("2.0.0")
