"""Maps, rules and adapters: what a plain test says better than a comparison with generated maps."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

from bustapi.werkzeug.exceptions import BadHost, MethodNotAllowed, NotFound
from bustapi.werkzeug.routing import (
    BaseConverter,
    BuildError,
    EndpointPrefix,
    IntegerConverter,
    Map,
    RequestRedirect,
    Rule,
    RuleFactory,
    RuleTemplate,
    Subdomain,
    Submount,
    ValidationError,
    WebsocketMismatch,
    parse_converter_args,
)


def rules(url_map: Map) -> list[tuple[Any, str]]:
    return [(rule.endpoint, rule.rule) for rule in url_map.iter_rules()]


def test_the_core_numbers_rules_in_the_order_of_native_rules() -> None:
    first, hidden, last = (
        Rule("/<int:id>", endpoint="first"),
        Rule("/hidden", endpoint="first", build_only=True),
        Rule("/x", endpoint="last"),
    )
    url_map = Map([first, hidden, last])
    assert [id(rule) for rule in url_map.native_rules()] == [id(first), id(last)]
    assert len(url_map.native_router()) == 2
    assert url_map.native_router().match("", "/7", "GET", False) == (0, first, {"id": 7})


def test_a_rule_added_after_a_match_is_found() -> None:
    url_map = Map([Rule("/<name>", endpoint="any")])
    adapter = url_map.bind("a.example")
    compiled = url_map.native_router()
    assert adapter.match("/me") == ("any", {"name": "me"})
    assert url_map.native_router() is compiled
    url_map.add(Rule("/me", endpoint="me"))
    assert adapter.match("/me") == ("me", {})
    assert url_map.native_router() is not compiled


def test_a_refreshed_rule_and_a_changed_map_are_compiled_again() -> None:
    rule = Rule("/old", endpoint="x")
    url_map = Map([rule])
    adapter = url_map.bind("a.example")
    assert adapter.test("/old")
    rule.rule = "/new"
    rule.refresh()
    assert adapter.test("/new")
    assert not adapter.test("/old")
    assert adapter.test("//new/") is False
    assert adapter.test("/x//new") is False
    url_map.merge_slashes = False
    url_map.add(Rule("/a/b", endpoint="y"))
    assert not adapter.test("/a//b")


def test_a_path_no_server_decodes_is_not_found() -> None:
    adapter = Map([Rule("/<path:p>", endpoint="x")]).bind("a.example")
    with pytest.raises(NotFound):
        adapter.match("/\ud800")


def test_every_answer_has_its_exception() -> None:
    url_map = Map(
        [
            Rule("/get", methods=["GET"], endpoint="get"),
            Rule("/socket", websocket=True, endpoint="socket"),
            Rule("/branch/", endpoint="branch"),
        ]
    )
    adapter = url_map.bind("a.example", "/app", query_args={"q": "1"})
    with pytest.raises(MethodNotAllowed) as refused:
        adapter.match("/get", "POST")
    assert sorted(refused.value.valid_methods or ()) == ["GET", "HEAD"]
    assert sorted(adapter.allowed_methods("/get")) == ["GET", "HEAD"]
    assert adapter.allowed_methods("/nowhere") == []
    with pytest.raises(WebsocketMismatch):
        adapter.match("/socket")
    with pytest.raises(NotFound):
        adapter.match("/nowhere")
    with pytest.raises(RequestRedirect) as moved:
        adapter.match("/branch")
    assert moved.value.new_url == "http://a.example/app/branch/?q=1"
    assert adapter.dispatch(lambda endpoint, values: (endpoint, values), "/branch/") == ("branch", {})
    assert isinstance(adapter.dispatch(lambda *_: None, "/branch"), RequestRedirect)
    assert isinstance(adapter.dispatch(lambda *_: None, "/no", catch_http_exceptions=True), NotFound)


def test_a_converter_of_the_application_decides_and_converts() -> None:
    class Roman(BaseConverter):
        regex = "[IVX]+"

        def to_python(self, value: str) -> int:
            if value not in ("I", "V", "X"):
                raise ValidationError()
            return {"I": 1, "V": 5, "X": 10}[value]

        def to_url(self, value: Any) -> str:
            return {1: "I", 5: "V", 10: "X"}[value]

    url_map = Map(
        [Rule("/<roman:n>", endpoint="roman"), Rule("/<word>", endpoint="word")], converters={"roman": Roman}
    )
    adapter = url_map.bind("a.example")
    assert adapter.match("/X") == ("roman", {"n": 10})
    # A value that is refused ends the search; text that does not match goes on.
    with pytest.raises(NotFound):
        adapter.match("/XX")
    assert adapter.match("/L") == ("word", {"word": "L"})
    assert adapter.build("roman", {"n": 5}) == "/V"


def test_an_error_in_a_converter_is_the_callers() -> None:
    class Broken(IntegerConverter):
        def to_python(self, value: str) -> int:
            raise LookupError(value)

    adapter = Map([Rule("/<broken:n>", endpoint="x")], converters={"broken": Broken}).bind("a.example")
    with pytest.raises(LookupError, match="7"):
        adapter.match("/7")


@pytest.mark.parametrize("digits", [5000, 639, 19])
def test_a_number_of_any_length_is_a_number_or_not_found(digits: int) -> None:
    adapter = Map([Rule("/<int:n>", endpoint="x")]).bind("a.example")
    text = "7" * digits
    try:
        expected = int(text)
    except ValueError:
        with pytest.raises(NotFound):
            adapter.match(f"/{text}")
    else:
        assert adapter.match(f"/{text}") == ("x", {"n": expected})


def test_factories_change_copies() -> None:
    inner = Rule("/<int:id>", endpoint="show")
    url_map = Map(
        [
            EndpointPrefix(
                "blog.", [Submount("/blog/", [inner]), Subdomain("<user>", [Rule("/", endpoint="home")])]
            ),
            RuleTemplate([Rule("/$name/", endpoint="$name.list", defaults={"kind": "$name"})])(name="page"),
        ]
    )
    assert rules(url_map) == [("blog.show", "/blog/<int:id>"), ("blog.home", "/"), ("page.list", "/page/")]
    assert (inner.rule, inner.endpoint) == ("/<int:id>", "show")
    assert inner.map is None
    assert url_map.bind("a.example", subdomain="me").match("/") == ("blog.home", {"user": "me"})
    assert url_map.bind("a.example").match("/page/") == ("page.list", {"kind": "page"})
    with pytest.raises(NotImplementedError):
        Map([RuleFactory()])


def test_a_subclass_of_rule_has_the_last_word_on_converters() -> None:
    class Typed(Rule):
        def get_converter(
            self, variable_name: str, converter_name: str, args: Any, kwargs: Any
        ) -> BaseConverter:
            kind = "int" if variable_name.endswith("_id") else converter_name
            return super().get_converter(variable_name, kind, args, kwargs)

    adapter = Map([Typed("/<user_id>/<name>", endpoint="x")]).bind("a.example")
    assert adapter.match("/7/8") == ("x", {"user_id": 7, "name": "8"})


def test_building_prefers_the_rule_of_the_method_and_the_most_specific() -> None:
    url_map = Map(
        [
            Rule("/all/", defaults={"page": 1}, endpoint="all"),
            Rule("/all/<int:page>", endpoint="all"),
            Rule("/new", methods=["POST"], endpoint="item"),
            Rule("/item/<int(fixed_digits=3):id>", methods=["GET"], endpoint="item"),
            Rule("/live", websocket=True, endpoint="live"),
        ]
    )
    adapter = url_map.bind("a.example", "/app/", url_scheme="https")
    assert adapter.build("all", {"page": 1}) == "/app/all/"
    assert adapter.build("all", {"page": 2, "q": ["a b", "ü"], "none": None}) == "/app/all/2?q=a+b&q=%C3%BC"
    assert adapter.build("item", {"id": 7}) == "/app/item/007"
    assert adapter.build("item", {"id": 7}, method="POST") == "/app/new?id=7"
    assert adapter.build("item", {"id": 7}, method="POST", append_unknown=False) == "/app/new"
    assert adapter.build("all", {"page": 3}, force_external=True) == "https://a.example/app/all/3"
    assert adapter.build("live") == "wss://a.example/app/live"
    with pytest.raises(BuildError, match="Did you forget to specify values") as error:
        adapter.build("item", {"idx": 1}, method="GET")
    assert error.value.suggested is not None
    with pytest.raises(BuildError, match="Did you mean 'item' instead"):
        adapter.build("itme")


def test_is_endpoint_expecting_looks_at_every_rule() -> None:
    url_map = Map([Rule("/<a>", endpoint="x"), Rule("/<a>/<b>", endpoint="x")])
    assert url_map.is_endpoint_expecting("x", "a", "b")
    assert not url_map.is_endpoint_expecting("x", "c")


def test_hosts_and_subdomains_are_matched_apart() -> None:
    by_host = Map([Rule("/", host="<name>.example", endpoint="x")], host_matching=True)
    assert by_host.bind("me.example").match("/") == ("x", {"name": "me"})
    with pytest.raises(RuntimeError):
        by_host.bind("me.example", subdomain="a")
    with pytest.raises(BadHost):
        by_host.bind("a..example")
    environ = {
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "Blog.a.example:80",
        "SERVER_NAME": "ignored",
        "SERVER_PORT": "80",
        "REQUEST_METHOD": "get",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/caf\xc3\xa9",
        "QUERY_STRING": "",
    }
    by_subdomain = Map([Rule("/<page>", subdomain="blog", endpoint="page")])
    adapter = by_subdomain.bind_to_environ(environ, server_name="a.example:80")
    assert adapter.match() == ("page", {"page": "café"})
    with pytest.warns(UserWarning, match="doesn't match configured"):
        elsewhere = by_subdomain.bind_to_environ(environ, server_name="b.example")
    assert not elsewhere.test()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ((), {})),
        ("1, 2.5 ,x", ((1, 2.5, "x"), {})),
        ("a = True, b=None,c='x, y'", ((), {"a": True, "b": None, "c": "x, y"})),
        ('"1"', (("1",), {})),
    ],
)
def test_converter_arguments_are_python_values(text: str, expected: Any) -> None:
    assert parse_converter_args(text) == expected


@pytest.mark.parametrize("text", ["-1", "a b", "min=-1", "(1)"])
def test_what_is_no_argument_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_converter_args(text)


@pytest.mark.parametrize(
    ("rule", "error"),
    [("x", ValueError), ("/<", ValueError), ("/<a>/<a>", SyntaxError), ("/<nope:a>", LookupError)],
)
def test_a_malformed_rule_is_refused_when_it_is_bound(rule: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        Map([Rule(rule)])


def test_a_map_that_matched_can_be_collected() -> None:
    url_map = Map([Rule("/<path:p>", endpoint="x")])
    assert url_map.bind("a.example").test("/a/b")
    gone = weakref.ref(url_map)
    del url_map
    gc.collect()
    assert gone() is None


def test_threads_may_match_while_rules_are_added() -> None:
    url_map = Map([Rule("/<int:n>", endpoint="n")])
    adapter = url_map.bind("a.example")
    failures: list[BaseException] = []

    def match() -> None:
        try:
            for n in range(300):
                assert adapter.match(f"/{n}") == ("n", {"n": n})
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=match) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(50):
        url_map.add(Rule(f"/static/{n}", endpoint=f"s{n}"))
    for thread in threads:
        thread.join()
    assert failures == []
    assert adapter.match("/static/49") == ("s49", {})
