"""Binding: what is shared, what is exclusive, and what is said when it fails."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bustapi.serve import ServeError, Settings
from bustapi.serve.listeners import Bound, bind, unix_path, url

HAS_IPV6 = socket.has_ipv6 and os.path.exists("/proc/net/if_inet6")


@contextmanager
def bound(**given: object) -> Iterator[Bound]:
    made = bind(Settings.resolve({"port": 0, **given}, {}))
    try:
        yield made
    finally:
        made.close()


def port_of(made: Bound) -> int:
    return int(made.addresses[0].rpartition(":")[2])


def test_each_reactor_of_each_worker_has_its_own_listeners_on_one_port() -> None:
    with bound(threads=2, workers=3) as made:
        assert [len(slot) for slot in made.groups] == [2, 2, 2]
        listeners = [group[0] for slot in made.groups for group in slot]
        assert len({listener.fileno() for listener in listeners}) == 6
        assert len({listener.address for listener in listeners}) == 1
        assert made.addresses == [f"127.0.0.1:{port_of(made)}"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere all share one queue")
def test_connections_spread_over_the_queues() -> None:
    with bound(threads=8) as made:
        clients = [socket.create_connection(("127.0.0.1", port_of(made)), 5) for _ in range(64)]
        taken = 0
        for (listener,) in made.groups[0]:
            with socket.socket(fileno=os.dup(listener.fileno())) as queue:
                try:
                    queue.accept()[0].close()
                except BlockingIOError:
                    continue
                taken += 1
        for client in clients:
            client.close()
    assert taken > 1


@pytest.mark.parametrize("members", [1, 2])
def test_a_port_in_use_is_refused_in_one_line(members: int) -> None:
    with bound(threads=members) as made:
        port = port_of(made)
        with pytest.raises(
            ServeError, match=rf"^cannot listen on 127.0.0.1:{port}: the address is in use"
        ) as caught:
            bind(Settings.resolve({"port": port, "threads": 2}, {}))
        assert "\n" not in str(caught.value)


def test_closing_frees_the_port() -> None:
    with bound() as made:
        port = port_of(made)
    with bound(port=port) as again:
        assert port_of(again) == port


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("999.1.1.1", r"Name or service not known|not known|nodename"),
        ("name.invalid", r"not known|nodename|resolution"),
        ("192.0.2.1", r"does not belong to this machine"),
    ],
)
def test_a_bad_host_is_refused_in_one_line(host: str, reason: str) -> None:
    with (
        pytest.raises(ServeError, match=rf"^cannot listen on {host}:0: .*({reason})") as caught,
        bound(host=host),
    ):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ipv6_with_members(host: str) -> None:
    with bound(host=host, threads=2) as made:
        assert made.addresses == [f"[::1]:{port_of(made)}"]
        assert url(made.addresses[0]) == f"http://[::1]:{port_of(made)}"
        socket.create_connection(("::1", port_of(made)), 5).close()


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("unix:/run/a.sock", "/run/a.sock"),
        ("unix:///run/a.sock", "/run/a.sock"),
        ("unix:a.sock", os.path.abspath("a.sock")),
        ("localhost", None),
    ],
)
def test_unix_paths(host: str, path: str | None) -> None:
    assert unix_path(host) == path


def test_a_unix_socket_needs_a_path() -> None:
    with pytest.raises(ServeError, match="names no path"):
        unix_path("unix:")


def test_a_unix_socket_is_shared_and_its_file_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with bound(host=f"unix:{path}", threads=2, workers=2) as made:
        assert made.addresses == [f"unix:{path}"]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        with pytest.raises(ServeError, match="another server is listening there"):
            bind(Settings(host=f"unix:{path}"))
    assert not path.exists()


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with bound(host=f"unix:{path}"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("mine")
    with pytest.raises(ServeError, match="is no socket"), bound(host=f"unix:{path}"):
        pass
    assert path.read_text() == "mine"


def test_a_socket_file_that_was_replaced_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with bound(host=f"unix:{path}"):
        path.unlink()
        path.write_text("somebody else's")
    assert path.exists()


@pytest.mark.parametrize("host", ["unix:/no/such/folder/a.sock", "unix:/" + "x" * 200])
def test_an_impossible_path_is_refused_in_one_line(host: str) -> None:
    with pytest.raises(ServeError, match=r"^cannot listen on unix:/"), bound(host=host):
        pass
