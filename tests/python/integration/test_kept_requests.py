"""What a view keeps of its request stays its own, however many requests the same connection brings after it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .servers import Served, read_until, serving

SOURCE = """
import contextvars
import threading
from bustapi import BustAPI, g, request
from bustapi.kernel.context import current

app = BustAPI(__name__)
app.execution = EXECUTION
mine = contextvars.ContextVar("mine", default="nothing")
contexts, requests, states, tokens, threads, read = {}, {}, {}, {}, [], {}
go_on = threading.Event()


def seen():
    return [request.path, request.args.get("a"), getattr(g, "name", None), mine.get()]


@app.get("/plain/<name>")
def plain(name):
    return {"set before": mine.get()}


@app.get("/context/<name>")
def keeps_a_context(name):
    contexts[name] = contextvars.copy_context()
    return {}


@app.get("/touched/<name>")
def keeps_a_context_it_has_used(name):
    g.name = name
    assert request.args["a"]
    contexts[name] = contextvars.copy_context()
    return {}


@app.get("/set/<name>")
def sets_a_variable(name):
    mine.set(name)
    contexts[name] = contextvars.copy_context()
    return {}


@app.get("/within/<name>")
def sets_a_variable_in_the_copy(name):
    contexts[name] = contextvars.copy_context()
    contexts[name].run(mine.set, name)
    return {}


@app.get("/request/<name>")
def keeps_the_request(name):
    requests[name] = request._get_current_object()
    return {}


@app.get("/state/<name>")
def keeps_the_state(name):
    states[name] = current.get()
    return {}


@app.get("/thread/<name>")
def leaves_a_thread_behind(name):
    g.name = name

    def work():
        go_on.wait(20)
        read[name] = seen()

    threads.append(threading.Thread(target=contextvars.copy_context().run, args=(work,)))
    threads[-1].start()
    return {}


@app.get("/replaced/<name>")
def replaces_the_state(name):
    tokens[name] = current.set(current.get())
    return {}


@app.get("/told")
def told():
    go_on.set()
    for thread in threads:
        thread.join(20)
    return {
        "contexts": {name: context.run(seen) for name, context in contexts.items()},
        "requests": {name: [kept.path, kept.args.get("a")] for name, kept in requests.items()},
        "states": {name: [state.path, state.query_string.decode()] for name, state in states.items()},
        "tokens": sorted(tokens),
        "threads": read,
    }
"""


@pytest.fixture(scope="module", params=["inline", "pool"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory: Path = tmp_path_factory.mktemp("kept")
    with serving(directory, SOURCE.replace("EXECUTION", repr(request.param))) as running:
        yield running


def test_what_is_kept_of_a_request_is_not_another_ones(served: Served) -> None:
    kinds = ["context", "touched", "set", "within", "request", "state", "thread", "replaced"]
    with served.connect() as sock:

        def get(path: str) -> Any:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            head = read_until(sock, b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            body = head.partition(b"\r\n\r\n")[2]
            while len(body) < length:
                body += sock.recv(65536)
            return json.loads(body)

        for turn in range(3):
            for kind in kinds:
                get(f"/{kind}/{kind}{turn}?a={turn}")
                assert get(f"/plain/{turn}?a=other") == {"set before": "nothing"}
        told = get("/told?a=last")

    expected_contexts = {}
    for turn in range(3):
        expected_contexts[f"context{turn}"] = [f"/context/context{turn}", str(turn), None, "nothing"]
        expected_contexts[f"touched{turn}"] = [
            f"/touched/touched{turn}",
            str(turn),
            f"touched{turn}",
            "nothing",
        ]
        expected_contexts[f"set{turn}"] = [f"/set/set{turn}", str(turn), None, f"set{turn}"]
        expected_contexts[f"within{turn}"] = [f"/within/within{turn}", str(turn), None, f"within{turn}"]
    assert told == {
        "contexts": expected_contexts,
        "requests": {f"request{turn}": [f"/request/request{turn}", str(turn)] for turn in range(3)},
        "states": {f"state{turn}": [f"/state/state{turn}", f"a={turn}"] for turn in range(3)},
        "tokens": ["replaced0", "replaced1", "replaced2"],
        "threads": {
            f"thread{turn}": [f"/thread/thread{turn}", str(turn), f"thread{turn}", "nothing"]
            for turn in range(3)
        },
    }
