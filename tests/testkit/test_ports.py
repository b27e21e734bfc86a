"""Ports: free, different, and where no outgoing connection takes them."""

from __future__ import annotations

import socket

from kafka_persist_testkit import _ports


def test_chosen_ports_are_different_and_free():
    ports = _ports.choose(20)

    assert len(set(ports)) == 20
    assert all(_ports.is_free(port) for port in ports)


def test_chosen_ports_are_below_those_of_outgoing_connections():
    assert max(_ports.choose(20)) < _ports._first_ephemeral_port()


def test_a_port_with_a_listener_is_not_free():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert (_ports.is_free(port), _ports.is_answering(port)) == (False, True)

    assert (_ports.is_free(port), _ports.is_answering(port)) == (True, False)


def test_the_kernel_chooses_where_the_range_of_outgoing_connections_is_everything(monkeypatch, tmp_path):
    everything = tmp_path / "range"
    everything.write_text("1024\t65535\n")
    monkeypatch.setattr(_ports, "_RANGE_FILE", everything)

    assert len(set(_ports.choose(3))) == 3
