"""URLs that views build, through every door: the quick way of plain rules, and everything that leaves it."""

from __future__ import annotations

from typing import Any

import pytest

from .flask_pair import OURS, REAL, Face, assert_same, get

#: Calls as a view makes them: endpoint and keyword arguments.
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("plain", {}),
    ("plain", {"page": 3}),
    ("plain", {"q": "a b&c=d", "r": "ü", "a-b": "x"}),
    ("plain", {"q": ["1", "2"], "none": None, "flag": True, "real": 1.5}),
    ("plain", {"_anchor": "a b"}),
    ("plain", {"_external": True}),
    ("plain", {"_external": False}),
    ("plain", {"_scheme": "https", "_external": True}),
    ("plain", {"_scheme": "https"}),
    ("plain", {"_scheme": "https", "_external": False}),
    ("plain", {"_method": "POST"}),
    ("plain", {"_method": "DELETE"}),
    ("user", {"id": 5, "name": "abc"}),
    ("user", {"id": "5", "name": "a/b c"}),
    ("user", {"id": True, "name": 7}),
    ("user", {"id": 5, "name": "ünïcode", "q": "x"}),
    ("user", {"id": 5, "name": ""}),
    ("user", {"id": 5}),
    ("user", {"id": None, "name": "x"}),
    ("user", {"id": "no number", "name": "x"}),
    ("digits", {"n": 7}),
    ("tail", {"path": "/leading/slash"}),
    ("tail", {"path": "x/y z"}),
    ("word", {"w": "one"}),
    ("word", {"w": "three"}),
    ("paged", {}),
    ("paged", {"page": 1}),
    ("paged", {"page": 2}),
    ("either", {}),
    ("either", {"id": 1}),
    ("sub.inner", {}),
    ("sub.inner", {"lang": "de"}),
    (".inner", {}),
    (".plain", {}),
    ("missing", {}),
    ("static", {"filename": "a b.css"}),
]


def build(face: Face) -> Any:
    app = face.Flask("urls")
    sub = face.Blueprint("sub", "urls", url_prefix="/<lang>")

    @sub.url_defaults
    def add_language(endpoint: str, values: dict[str, Any]) -> None:
        values.setdefault("lang", "en")

    @sub.url_value_preprocessor
    def take_language(endpoint: str, values: Any) -> None:
        face.g.lang = values.pop("lang")

    def answer() -> Any:
        number = int(face.request.args["n"])
        endpoint, values = CALLS[number]
        try:
            return {"url": face.url_for(endpoint, **values)}
        except Exception as error:
            return {"error": type(error).__name__, "text": str(error)}

    app.add_url_rule("/", "plain", answer, methods=["GET", "POST"])
    app.add_url_rule("/users/<int:id>/<name>", "user", answer)
    app.add_url_rule("/digits/<int(fixed_digits=4):n>", "digits", answer)
    app.add_url_rule("/<path:path>/end", "tail", answer)
    app.add_url_rule("/word/<any(one, two):w>", "word", answer)
    app.add_url_rule("/paged/", "paged", answer, defaults={"page": 1})
    app.add_url_rule("/paged/<int:page>", "paged", answer)
    app.add_url_rule("/either", "either", answer)
    app.add_url_rule("/either/<int:id>", "either", answer)
    sub.add_url_rule("/inner", "inner", answer)
    app.register_blueprint(sub)

    @app.get("/with-context")
    def with_context() -> Any:
        # The adapter exists, and is what builds from then on.
        assert face.flask_module("globals").request_ctx.url_adapter is not None
        return answer()

    return app


@pytest.mark.parametrize("path", ["/", "/with-context", "/fr/inner"])
def test_a_view_builds_the_urls_that_flask_builds(path: str) -> None:
    requests = [get(path, query_string={"n": str(number)}) for number in range(len(CALLS))]
    assert_same(build, *requests)


def changed(name: str) -> Any:
    def build_changed(face: Face) -> Any:
        app = build(face)
        if name == "hosts":
            app.config["TRUSTED_HOSTS"] = ["localhost"]
        elif name == "subdomains":
            app.subdomain_matching = True
            app.config["SERVER_NAME"] = "localhost"
        elif name == "adapter":
            plain = app.create_url_adapter

            def create_url_adapter(request: Any) -> Any:
                adapter = plain(request)
                if adapter is not None:
                    adapter.script_name = "/mounted/"
                return adapter

            app.create_url_adapter = create_url_adapter
        elif name == "injected":
            app.inject_url_defaults = lambda endpoint, values: values.update(seen=endpoint)
        elif name == "handler":
            app.url_build_error_handlers.append(lambda error, endpoint, values: f"/handled/{endpoint}")
        return app

    return build_changed


@pytest.mark.parametrize("name", ["hosts", "subdomains", "adapter", "injected", "handler"])
def test_what_an_application_changes_is_asked(name: str) -> None:
    requests = [
        get("/", query_string={"n": str(number)}, headers={"Host": "localhost"})
        for number in range(len(CALLS))
    ]
    assert_same(changed(name), *requests)


def test_a_rule_added_between_two_urls_of_an_endpoint_counts() -> None:
    for face in (REAL, OURS):
        app = build(face)
        with app.test_request_context():
            assert face.url_for("user", id=1, name="x") == "/users/1/x"
            app.add_url_rule("/all/<int:id>/<name>/<more>", "user", app.view_functions["user"])
            assert face.url_for("user", id=1, name="x", more="y") == "/all/1/x/y"
            rule = next(iter(app.url_map.iter_rules("plain")))
            rule.rule = "/moved"
            rule.refresh()
            assert face.url_for("plain") == "/moved"
