"""Counting containers: no change of an application goes unnoticed, and reading is no change."""

from __future__ import annotations

import copy
import pickle
from collections import defaultdict
from typing import Any, Callable

import pytest

from bustapi.flask import Blueprint, Flask
from bustapi.kernel.registry import Generation, RegistryDefaultDict, RegistryDict, RegistryList, adopt


@pytest.fixture
def generation() -> Generation:
    return Generation()


def changes(generation: Generation, act: Callable[[], Any]) -> bool:
    before = generation.value
    act()
    return generation.value != before


LIST_CHANGES: dict[str, Callable[[Any], Any]] = {
    "append": lambda items: items.append(4),
    "clear": lambda items: items.clear(),
    "del": lambda items: items.__delitem__(0),
    "del slice": lambda items: items.__delitem__(slice(0, 2)),
    "extend": lambda items: items.extend([4]),
    "iadd": lambda items: items.__iadd__([4]),
    "imul": lambda items: items.__imul__(2),
    "insert": lambda items: items.insert(0, 4),
    "pop": lambda items: items.pop(),
    "remove": lambda items: items.remove(1),
    "reverse": lambda items: items.reverse(),
    "set": lambda items: items.__setitem__(0, 4),
    "set slice": lambda items: items.__setitem__(slice(0, 1), [4, 5]),
    "sort": lambda items: items.sort(reverse=True),
}


@pytest.mark.parametrize("name", LIST_CHANGES)
def test_each_change_of_a_list_counts_and_does_what_a_list_does(name: str, generation: Generation) -> None:
    plain = [1, 2, 3]
    items = RegistryList(generation, plain)
    act = LIST_CHANGES[name]
    assert changes(generation, lambda: act(items))
    act(plain)
    assert list(items) == plain


def test_every_mutating_method_of_list_is_covered(generation: Generation) -> None:
    readers = {"copy", "count", "index"}
    public = {name for name in dir(list) if not name.startswith("_")}
    covered = {name for name in public if name in vars(RegistryList)}
    assert covered | readers == public


DICT_CHANGES: dict[str, Callable[[Any], Any]] = {
    "clear": lambda mapping: mapping.clear(),
    "del": lambda mapping: mapping.__delitem__("a"),
    "ior": lambda mapping: mapping.__ior__({"c": 3}),
    "pop": lambda mapping: mapping.pop("a"),
    "popitem": lambda mapping: mapping.popitem(),
    "set": lambda mapping: mapping.__setitem__("a", 3),
    "setdefault": lambda mapping: mapping.setdefault("c", 3),
    "update": lambda mapping: mapping.update({"c": 3}, d=4),
    "update from pairs": lambda mapping: mapping.update([("c", 3)]),
}


@pytest.mark.parametrize("name", DICT_CHANGES)
@pytest.mark.parametrize("kind", ["dict", "defaultdict"])
def test_each_change_of_a_dict_counts_and_does_what_a_dict_does(
    name: str, kind: str, generation: Generation
) -> None:
    plain: dict[str, int] = {"a": 1, "b": 2}
    mapping: Any = (
        RegistryDict(generation, plain) if kind == "dict" else RegistryDefaultDict(generation, int, plain)
    )
    act = DICT_CHANGES[name]
    assert changes(generation, lambda: act(mapping))
    act(plain)
    assert dict(mapping) == plain


def test_every_mutating_method_of_dict_is_covered(generation: Generation) -> None:
    readers = {"copy", "fromkeys", "get", "items", "keys", "values"}
    public = {name for name in dir(dict) if not name.startswith("_")}
    for cls in (RegistryDict, RegistryDefaultDict):
        covered = {name for name in public if name in vars(cls)}
        assert covered | readers == public


def test_reading_is_no_change(generation: Generation) -> None:
    mapping: Any = RegistryDefaultDict(generation, list, {None: [1]})

    def read() -> None:
        assert mapping.get("missing") is None
        assert "missing" not in mapping
        assert mapping[None][0] == 1
        assert list(mapping.items()) == [(None, [1])]
        assert mapping.setdefault(None, []) == [1]
        mapping.copy()["missing"]

    assert not changes(generation, read)


def test_a_list_made_by_a_missing_key_counts(generation: Generation) -> None:
    mapping: Any = RegistryDefaultDict(generation, list)
    made = mapping["new"]
    assert changes(generation, lambda: made.append(1))
    assert mapping["new"] == [1]


def test_lists_and_dicts_are_adopted_at_every_depth(generation: Generation) -> None:
    handlers = defaultdict(dict, {404: {KeyError: 1}})
    mapping: Any = RegistryDefaultDict(generation, dict, {None: handlers})
    assert changes(generation, lambda: mapping[None][404].update({ValueError: 2}))
    assert changes(generation, lambda: mapping[None][500].update({ValueError: 3}))
    assert mapping[None][500] == {ValueError: 3}
    mapping["replaced"] = {"plain": [1]}
    assert changes(generation, lambda: mapping["replaced"]["plain"].append(2))


def test_values_that_belong_to_others_are_left_alone(generation: Generation) -> None:
    state = {"owner": "an extension"}
    mapping: Any = RegistryDict(generation)
    mapping["extension"] = state
    assert mapping["extension"] is state
    assert adopt(generation, state) is not state
    assert adopt(generation, "text") == "text"


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_copies_are_plain_and_do_not_count(duplicate: Callable[[Any], Any], generation: Generation) -> None:
    for original in (
        RegistryList(generation, [1]),
        RegistryDict(generation, {1: 1}),
        RegistryDefaultDict(generation, int, {1: 1}),
    ):
        made = duplicate(original)
        assert made == original
        assert type(made) in (list, dict, defaultdict)
        assert not changes(generation, made.clear)


def test_a_failed_change_counts_too(generation: Generation) -> None:
    items = RegistryList(generation, [1])

    def extend() -> None:
        with pytest.raises(ZeroDivisionError):
            items.extend(1 // number for number in (1, 0))

    assert changes(generation, extend)
    assert list(items) == [1, 1]


APP_CHANGES: dict[str, Callable[[Flask], Any]] = {
    "attribute": lambda app: setattr(app, "handle_exception", print),
    "deleted attribute": lambda app: delattr(app, "marker"),
    "session interface": lambda app: setattr(app, "session_interface", app.session_interface),
    "debug": lambda app: setattr(app, "debug", True),
    "config item": lambda app: app.config.__setitem__("DEBUG", True),
    "config update": lambda app: app.config.update(DEBUG=True),
    "config mapping": lambda app: app.config.from_mapping(TESTING=True),
    "json attribute": lambda app: setattr(app.json, "sort_keys", False),
    "json provider": lambda app: setattr(app, "json", app.json_provider_class(app)),
    "rule": lambda app: app.add_url_rule("/new", "new"),
    "rule of the map": lambda app: app.url_map.add(app.url_rule_class("/own", endpoint="own")),
    "view": lambda app: app.view_functions.__setitem__("index", print),
    "before": lambda app: app.before_request(lambda: None),
    "before, by hand": lambda app: app.before_request_funcs.setdefault("bp", []).append(print),
    "after": lambda app: app.after_request(lambda response: response),
    "teardown": lambda app: app.teardown_request(lambda error: None),
    "teardown of the context": lambda app: app.teardown_appcontext(lambda error: None),
    "error handler": lambda app: app.register_error_handler(404, lambda error: "none"),
    "error handler, by hand": lambda app: app.error_handler_spec["bp"][None].update({KeyError: print}),
    "preprocessor": lambda app: app.url_value_preprocessor(lambda endpoint, values: None),
    "defaults": lambda app: app.url_defaults(lambda endpoint, values: None),
    "context processor": lambda app: app.context_processor(dict),
    "blueprint": lambda app: app.register_blueprint(Blueprint("bp", __name__)),
    "extension": lambda app: app.extensions.__setitem__("own", object()),
    "wsgi app": lambda app: setattr(app, "wsgi_app", lambda environ, start_response: []),
}


@pytest.mark.parametrize("name", APP_CHANGES)
def test_each_change_of_an_application_counts(name: str) -> None:
    app = Flask(__name__)
    app.marker = True  # type: ignore[attr-defined]
    app.add_url_rule("/", "index", lambda: "index")
    assert changes(app.generation, lambda: APP_CHANGES[name](app))


def test_answering_requests_is_no_change() -> None:
    app = Flask(__name__)
    app.secret_key = "key"
    bp = Blueprint("bp", __name__, url_prefix="/bp")
    bp.add_url_rule("/fail", "fail", lambda: {}["missing"])
    app.register_blueprint(bp)
    app.add_url_rule("/", "index", lambda: {"a": 1})
    app.register_error_handler(KeyError, lambda error: ("handled", 400))
    client = app.test_client()
    client.get("/")

    def requests() -> None:
        for path in ("/", "/bp/fail", "/none", "/static/none"):
            client.get(path)
        client.post("/")

    assert not changes(app.generation, requests)


def test_a_copied_configuration_belongs_to_no_application() -> None:
    app = Flask(__name__)
    made = copy.deepcopy(app.config)
    assert made == app.config
    assert made.root_path == app.config.root_path
    assert not changes(app.generation, lambda: made.update(DEBUG=True))
