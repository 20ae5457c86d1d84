"""Generated maps and paths: matching and building give exactly what werkzeug gives.

Every case is one call on one generated map, made on both implementations. `BUSTAPI_CASES` sets their number,
`BUSTAPI_SEED` the first seed; a failure names the seed of its map.
"""

from __future__ import annotations

import os
import random
import uuid
import warnings
from typing import Any, Callable

import pytest
import werkzeug.datastructures
import werkzeug.exceptions
import werkzeug.routing

import bustapi.werkzeug.datastructures
import bustapi.werkzeug.exceptions
import bustapi.werkzeug.routing

CASES = int(os.environ.get("BUSTAPI_CASES", "12000"))
SEED = int(os.environ.get("BUSTAPI_SEED", "0"))
BATCHES = 8
MATCHES_A_MAP = 90
BUILDS_A_MAP = 30

REFERENCE = werkzeug
OURS = bustapi.werkzeug

STATICS = ["a", "b", "ab", "abc", "1", "12", "x.y", "a-b", "é", "a b", "x|y", "%2f", "+", "(", "a+", "$", "٣"]
HOSTS = [
    "a.example",
    "b.example",
    "example",
    "<h>.example",
    "<string(length=1):h>.example",
    "a.<any(example,org):t>",
]
SUBDOMAINS = ["a", "b", "a.b", "<s>", "<int:s>", "<a>.<b>", "<any(a,b):s>", "v<int:s>", "<low:s>", "<path:s>"]
CONVERTERS = [
    "",
    "",
    "",
    "default:",
    "string:",
    "string(length=2):",
    "string(2):",
    "string(minlength=2,maxlength=3):",
    "string(maxlength=2):",
    "string(minlength=3):",
    "int:",
    "int:",
    "int(fixed_digits=2):",
    "int(min=1,max=12):",
    "int(signed=True):",
    "int(signed=True,max=3):",
    "int(2):",
    "float:",
    "float(min=1.5,max=12):",
    "float(signed=True):",
    "path:",
    "path:",
    "uuid:",
    "any(a,b,ab):",
    'any(a,"a b","x.y",abc):',
    "any('1','12',x):",
    "low:",
    "even:",
    "deep:",
    "lazy:",
    "plus:",
    "hex:",
]
NAMES = ["x", "y", "z", "page", "n", "i", "j", "k"]
ENDPOINTS = ["one", "two", "three"]
METHODS = [
    None,
    None,
    None,
    None,
    ["GET"],
    ["GET"],
    ["POST"],
    ["GET", "POST"],
    ["PUT", "DELETE"],
    [],
    ["get", "BREW"],
]
UUID = "12345678-abcd-4ABC-8123-00ff00ff00ff"
FILLERS = [
    "a", "b", "ab", "abc", "abcd", "1", "2", "12", "012", "007", "99", "-1", "-12", "1.5", "-1.5", "12.0", "1.", ".5",
    "12.75", "x.y", "a b", "a-b", "a-b-c", "a.b.1", "é", "éé", "٣", "1٣", "٣.٣", "a/b", "a/b/c", "b/", "a//b", UUID,
    UUID[:-1], "UP", "low", "ff", "a\nb", "\n", "a\n", "99999999999999999999", "9223372036854775808", "²", "½", "",
]  # fmt: skip
#: What fits a converter, by the beginning of its name.
FITTING = {
    "int(signed": ["-1", "2", "-12"],
    "int": ["1", "12", "02", "7", "٣", "99999999999999999999"],
    "float": ["1.5", "12.0", "2.75", "٣.٣", "1.50"],
    "path": ["a", "a/b", "a/b/c", "x.y/1", "a//b", "a\n"],
    "deep": ["a/b", "abc", "a"],
    "lazy": ["a/1", "b"],
    "uuid": [UUID],
    "any": ["a", "b", "ab", "abc", "a b", "x.y", "1", "12"],
    "low": ["a", "abc"],
    "even": ["2", "12", "0"],
    "plus": ["a+b", "a", "+"],
    "hex": ["f", "00ff"],
    "string(": ["ab", "éé", "12"],
    "": ["ab", "a", "abc", "é", "1", "éé"],
}
BUILD_VALUES: list[Any] = [
    "a", "a b", "é/ö", "a/b", "", 1, 12, 0, -3, 1.5, 1e20, True, None, "12", "x&y=z?", [1, 2], [], ("q",), uuid.UUID(UUID),
    "abc", b"raw", 2**70,
]  # fmt: skip


def custom_converters(lib: Any) -> dict[str, Any]:
    routing = lib.routing

    class Low(routing.BaseConverter):
        regex = "[a-z]+"

    class Even(routing.IntegerConverter):
        def to_python(self, value: str) -> Any:
            number = super().to_python(value)
            if number % 2:
                raise routing.ValidationError()
            return number

    class Deep(routing.BaseConverter):
        regex = "[a-z]+(?:/[a-z]+)*"

        def to_url(self, value: Any) -> str:
            if value == "abc":
                raise routing.ValidationError()
            return super().to_url(value)

    class Lazy(routing.PathConverter):
        weight = 75
        regex = "[^/].*?"

    class Plus(routing.BaseConverter):
        def to_python(self, value: str) -> Any:
            return value.split("+")

        def to_url(self, value: Any) -> str:
            return "+".join([super(Plus, self).to_url(item) for item in value])

    class Hex(routing.BaseConverter):
        regex = "([0-9a-f])([0-9a-f])*"
        weight = 20

    return {"low": Low, "even": Even, "deep": Deep, "lazy": Lazy, "plus": Plus, "hex": Hex}


class Plan:
    """What both maps are made of."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        pick = self.pick = random.Random(seed)
        self.options: dict[str, Any] = {
            "strict_slashes": pick.random() < 0.75,
            "merge_slashes": pick.random() < 0.75,
            "redirect_defaults": pick.random() < 0.75,
            "host_matching": pick.random() < 0.15,
            "sort_parameters": pick.random() < 0.3,
        }
        if pick.random() < 0.2:
            self.options["default_subdomain"] = pick.choice(["a", "www"])
        size = pick.choice([1, 2, 3, 5, 8, 12])
        # Maps of one domain, and of plain rules only, are where paths meet most.
        self.domains = pick.random() < 0.4
        self.plain = pick.random() < 0.4
        self.rules = [self.rule() for _ in range(size)]
        server = pick.choice(["example", "a.example", "Example:8080", "localhost", "b.example"])
        self.bound: dict[str, Any] = {"server_name": server}
        if pick.random() < 0.3:
            self.bound["script_name"] = pick.choice(["/", "/app", "/app/", "app", ""])
        if pick.random() < 0.3:
            self.bound["url_scheme"] = pick.choice(["https", "ws", "wss", "", "http"])
        if pick.random() < 0.3:
            self.bound["query_args"] = pick.choice(["q=1", {"q": "ä b", "r": [1, 2]}, "", {}])
        if pick.random() < 0.2:
            self.bound["default_method"] = pick.choice(["POST", "put"])

    def bind(self, options: dict[str, Any]) -> dict[str, Any]:
        """Arguments of `Map.bind` for a call, mostly where a rule with these options is."""
        pick = self.pick
        bound = dict(self.bound)
        if "host" in options and pick.random() < 0.9:
            bound["server_name"] = self.filled(options["host"], 1)
        if not self.options["host_matching"] and self.domains:
            if "subdomain" in options and pick.random() < 0.9:
                bound["subdomain"] = self.filled(options["subdomain"], 0.9)
            elif pick.random() < 0.5:
                bound["subdomain"] = pick.choice([None, "", "a", "b", "12", "a.b", "v7", "low", "é"])
        return bound

    def segment(self) -> str:
        pick = self.pick
        if pick.random() < 0.4:
            return pick.choice(STATICS)
        kind = pick.random()
        one = self.variable()
        if kind < 0.65:
            return one
        if kind < 0.8:
            return pick.choice([f"{pick.choice(STATICS)}{one}", f"{one}{pick.choice(STATICS)}"])
        for _ in range(pick.choice([1, 1, 1, 2, 3])):
            one += pick.choice(["-", ".", "", "", "a", "--", "b-", "1"]) + self.variable()
        return one + pick.choice(["", "", ".x", "-", "1"])

    def variable(self) -> str:
        converters = CONVERTERS[:10] if self.plain and self.pick.random() < 0.8 else CONVERTERS
        # Twice the same name is an error, unless it has a default.
        if not self.names or self.pick.random() < 0.02:
            self.names = self.pick.sample(NAMES, len(NAMES))
        return f"<{self.pick.choice(converters)}{self.names.pop()}>"

    def rule(self) -> tuple[str, dict[str, Any]]:
        pick = self.pick
        self.names = pick.sample(NAMES, len(NAMES))
        segments = [self.segment() for _ in range(pick.choice([0, 1, 1, 2, 2, 3, 4]))]
        path = "/" + "/".join(segments)
        if pick.random() < 0.35 and segments:
            path += "/"
        if pick.random() < 0.05:
            path = path.replace("/", "//", 1)
        if pick.random() < 0.01:
            path += pick.choice(
                ["<", "<a", "<b(>", "<1x>", "<nope:x>", "<int(-1):x>", "<int(1,2):x>", "<any(1,2,3):x>"]
            )
        options: dict[str, Any] = {"endpoint": pick.choice(ENDPOINTS)}
        methods = pick.choice(METHODS)
        if methods is not None:
            options["methods"] = methods
        for name, chance in [("strict_slashes", 0.15), ("merge_slashes", 0.15)]:
            if pick.random() < chance:
                options[name] = pick.random() < 0.5
        if pick.random() < 0.2:
            # Mostly not the rule's own: those make sense only where the converter builds from them.
            names = self.names if self.names and pick.random() < 0.7 else NAMES
            names = pick.sample(names, min(len(names), pick.choice([1, 1, 2])))
            options["defaults"] = {name: pick.choice([1, 12, "12", "a", "ab", None]) for name in names}
        if pick.random() < 0.06:
            options["alias"] = True
        if pick.random() < 0.06:
            options["build_only"] = True
        if pick.random() < 0.06 and methods != ["POST"]:
            options["websocket"] = True
        if pick.random() < 0.06:
            options["redirect_to"] = pick.choice(["other", "/abs/<x>", "rel/<y>/end", "<x><n>", joined])
        if self.options["host_matching"]:
            if pick.random() < 0.9:
                options["host"] = pick.choice(HOSTS)
        elif self.domains and pick.random() < 0.6:
            options["subdomain"] = pick.choice(SUBDOMAINS)
        return path, options

    def filled(self, rule: str, fitting: float) -> str:
        """The rule with texts for its variables, each with this chance one that fits."""
        pick = self.pick
        text = ""
        while rule:
            if rule.startswith("<") and ">" in rule:
                kind, rule = rule[1:].split(">", 1)
                good = next(texts for name, texts in FITTING.items() if kind.startswith(name))
                text += pick.choice(good if pick.random() < fitting else FILLERS)
            else:
                text += rule[0]
                rule = rule[1:]
        return text

    def path(self, rule: str) -> str:
        """The rule filled with what may or may not fit, then bent."""
        pick = self.pick
        if pick.random() < 0.06:
            return pick.choice(["", "/", "//", "///", "a", "a/b", "/\n", "/a//b///", "//a/b"])
        path = self.filled(rule, 0.85)
        for _ in range(pick.choice([0, 0, 0, 0, 0, 1, 1, 2])):
            at = pick.randrange(len(path) + 1)
            path = pick.choice(
                [
                    path + "/",
                    path.rstrip("/"),
                    path.replace("/", "//"),
                    path[:at] + "/" + path[at:],
                    path[:at] + pick.choice("a1-.\n٣") + path[at:],
                    path[:at] + path[at + 1 :],
                    path[:at],
                    f"{path}/{pick.choice(FILLERS)}",
                    f"/{pick.choice(FILLERS)}{path}",
                ]
            )
        return path

    def match(self) -> Callable[[Any, Any], Any]:
        pick = self.pick
        path, options = pick.choice(self.rules)
        bound = self.bind(options)
        arguments: dict[str, Any] = {"path_info": self.path(path), "return_rule": True}
        if pick.random() < 0.5:
            arguments["method"] = pick.choice(["GET", "POST", "HEAD", "get", "PUT", "BREW", "NOPE", ""])
        if pick.random() < 0.15:
            arguments["websocket"] = pick.random() < 0.5
        if pick.random() < 0.15:
            arguments["query_args"] = pick.choice(["k=v", {"k": "v w", "l": None}, {}, ""])

        def call(lib: Any, map: Any) -> Any:
            rule, values = map.bind(**bound).match(**arguments)
            return place(map, rule), values

        call.__doc__ = f"bind {bound} match {arguments}"
        return call

    def build(self) -> Callable[[Any, Any], Any]:
        pick = self.pick
        # A rule's own names, some left out, some more.
        path, options = pick.choice(self.rules)
        bound = self.bind(options)
        names = [name for name in [*NAMES, "s", "h"] if f"{name}>" in path + options.get("subdomain", "")]
        names = [name for name in names if pick.random() < 0.9] + pick.sample(
            [*NAMES, "q"], pick.choice([0, 0, 1])
        )
        values = {name: pick.choice(BUILD_VALUES) for name in names}
        for name, value in (options.get("defaults") or {}).items():
            if pick.random() < 0.3:
                values[name] = value
        several = pick.random() < 0.15
        endpoint = pick.choice([*ENDPOINTS, "on", *[options["endpoint"]] * 12])
        arguments: dict[str, Any] = {}
        if pick.random() < 0.3:
            arguments["method"] = pick.choice(["GET", "POST", "PUT", "NOPE"])
        if pick.random() < 0.3:
            arguments["force_external"] = True
        if pick.random() < 0.2:
            arguments["append_unknown"] = False
        if pick.random() < 0.3:
            arguments["url_scheme"] = pick.choice(["", "https", "ws", "ftp"])

        def call(lib: Any, map: Any) -> Any:
            given = lib.datastructures.MultiDict(values) if several else values
            return map.bind(**bound).build(endpoint, given, **arguments)

        call.__doc__ = f"bind {bound} build {endpoint} {values} {arguments}"
        return call

    def map(self, lib: Any) -> Any:
        rules = [lib.routing.Rule(path, **options) for path, options in self.rules]
        return lib.routing.Map(rules, converters=custom_converters(lib), **self.options)


def joined(adapter: Any, **values: Any) -> str:
    return "to/" + "-".join(f"{name}={values[name]}" for name in sorted(values))


def place(map: Any, rule: Any) -> int:
    """Rules compare equal when they look alike: identity tells them apart."""
    return next(index for index, known in enumerate(map.iter_rules()) if known is rule)


def outcome(call: Callable[[], Any], lib: Any) -> Any:
    """A result or an exception, in a form that compares across the two libraries, types included."""
    try:
        return "value", exact(call())
    except lib.routing.RequestRedirect as error:
        return "redirect", error.new_url, error.code
    except lib.exceptions.MethodNotAllowed as error:
        return "methods", sorted(error.valid_methods)
    except lib.routing.BuildError as error:
        return "BuildError", exact(error.args), str(error)
    except lib.exceptions.HTTPException as error:
        return type(error).__name__, error.code
    except Exception as error:
        return type(error).__name__


def exact(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, (list, tuple)):
        return [exact(item) for item in value]
    return type(value).__name__, repr(value)


def check_map(seed: int) -> int:
    plan = Plan(seed)
    expected = outcome(lambda: [rule.arguments for rule in plan.map(REFERENCE).iter_rules()], REFERENCE)
    given = outcome(lambda: [rule.arguments for rule in plan.map(OURS).iter_rules()], OURS)
    assert given == expected, f"seed {seed}: {plan.rules} {plan.options}"
    if expected[0] != "value":
        return 1
    reference, ours = plan.map(REFERENCE), plan.map(OURS)
    calls = [plan.match() for _ in range(MATCHES_A_MAP)] + [plan.build() for _ in range(BUILDS_A_MAP)]
    for call in calls:
        expected = outcome(lambda call=call: call(REFERENCE, reference), REFERENCE)
        given = outcome(lambda call=call: call(OURS, ours), OURS)
        assert given == expected, f"seed {seed}: {call.__doc__}\n{plan.rules}\n{plan.options}"
    return len(calls)


@pytest.mark.timeout(max(120, CASES // 200))
@pytest.mark.parametrize("batch", range(BATCHES))
def test_maps_match_and_build_as_werkzeug_does(batch: int) -> None:
    done, seed = 0, SEED + batch * 1_000_003
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while done < CASES / BATCHES:
            done += check_map(seed)
            seed += 1


@pytest.mark.timeout(max(120, CASES // 200))
def test_a_segment_is_split_between_converters_as_werkzeug_does() -> None:
    pick = random.Random(SEED)
    converters = [
        "",
        "int:",
        "float:",
        "int(signed=True):",
        "path:",
        "any(a,aa,'1'):",
        "string(length=2):",
        "low:",
    ]
    for _ in range(CASES // 60):
        pieces = [
            piece
            for name in NAMES[: pick.choice([2, 3, 4, 5])]
            for piece in (
                f"<{pick.choice(converters)}{name}>",
                pick.choice(["", "", "-", ".", "a", "1", "/"]),
            )
        ]
        rule = "/" + "".join(pieces)
        maps = [
            lib.routing.Map([lib.routing.Rule(rule)], converters=custom_converters(lib))
            for lib in (REFERENCE, OURS)
        ]
        for _ in range(30):
            path = "/" + "".join(pick.choices("aa11-./é", k=pick.randrange(3, 14)))
            expected, given = (
                outcome(lambda map=map, path=path: map.bind("example").match(path), lib)
                for map, lib in zip(maps, (REFERENCE, OURS))
            )
            assert given == expected, (rule, path)
