"""Names that the real packages' modules have only because they import them, and that others import from there.

`from flask.app import Rule` works with Flask, whose module needs the class for itself. Ours need other names, and
load what they need when they need it; so these are looked up when somebody asks, through the module's `__getattr__`,
and only in modules that are used under the real packages' names.
"""

from __future__ import annotations

import typing as t
from importlib import import_module

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

#: The names that a module of the real packages has besides those of ours; `name@home` where `_HOMES` means another.
_NAMES = {
    "flask.app": (
        "App BadRequestKeyError BaseResponse Environment HTTPException Headers InternalServerError "
        "MapAdapter RequestRedirect RoutingException Rule appcontext_tearing_down cli ft "
        "got_request_exception is_running_from_reloader request_finished request_started "
        "request_tearing_down send_from_directory"
    ),
    "flask.blueprints": "AppGroup",
    "flask.cli": "ParameterSource get_load_dotenv import_string is_running_from_reloader run_simple",
    "flask.config": "import_string",
    "flask.ctx": "ft",
    "flask.debughelpers": "BaseLoader request_ctx",
    "flask.helpers": "BaseResponse werkzeug",
    "flask.json": "current_app",
    "flask.json.provider": "http_date",
    "flask.logging": "request",
    "flask.sansio.app": "DispatchingJinjaLoader Environment Response@bustapi.werkzeug.sansio.response create_logger",
    "flask.sansio.scaffold": "BaseLoader FileSystemLoader",
    "flask.sessions": "BadSignature URLSafeTimedSerializer",
    "flask.templating": "Template request",
    "flask.testing": "Result ScriptInfo SessionMixin werkzeug",
    "flask.views": "ft",
    "flask.wrappers": "current_app",
    "werkzeug": "security serving",
    "werkzeug.datastructures.auth": "dump_header parse_dict_header quote_header_value",
    "werkzeug.datastructures.cache_control": "http",
    "werkzeug.datastructures.file_storage": "http",
    "werkzeug.datastructures.headers": "http",
    "werkzeug.datastructures.range": "http",
    "werkzeug.datastructures.structures": "exceptions http",
    "werkzeug.debug": "NotFound Request Response SecurityError gen_salt host_is_trusted parse_cookie send_file",
    "werkzeug.debug.tbtools": "escape",
    "werkzeug.exceptions": "Markup",
    "werkzeug.formparser": "Data Epilogue Field File MultipartDecoder NeedData",
    "werkzeug.http": "ds",
    "werkzeug.local": "ClosingIterator",
    "werkzeug.routing.exceptions": "cached_property redirect",
    "werkzeug.routing.map": (
        "BuildError HTTPException MethodNotAllowed MultiDict NoMatch NotFound RequestAliasRedirect "
        "RequestPath RequestRedirect Rule WebsocketMismatch"
    ),
    "werkzeug.routing.matcher": "Rule",
    "werkzeug.sansio": "multipart",
    "werkzeug.sansio.http": "ds",
    "werkzeug.sansio.request": "cached_property",
    "werkzeug.sansio.utils": "parse_set_header",
    "werkzeug.serving": "InternalServerError parse_set_header uri_to_iri",
    "werkzeug.test": (
        "Authorization CallbackDict CombinedMultiDict Data EnvironHeaders Epilogue Field File "
        "FileMultiDict MultiDict MultipartEncoder Preamble dump_options_header get_content_type "
        "iri_to_uri parse_options_header"
    ),
    "werkzeug.urls": "iter_multi_items",
    "werkzeug.utils": "Headers NotFound RequestedRangeNotSatisfiable escape safe_join wrap_file",
    "werkzeug.wrappers": "ResponseStream",
    "werkzeug.wrappers.request": "cached_property",
    "werkzeug.wrappers.response": "cached_property",
}
#: Where they are at home; `name=other` is `other` there, and `name=` the module itself.
_HOMES = {
    "bustapi.flask.logging": "create_logger",
    "bustapi.flask": (
        "appcontext_tearing_down current_app got_request_exception request request_finished "
        "request_started request_tearing_down send_from_directory"
    ),
    "bustapi.flask.cli": "AppGroup ScriptInfo cli=",
    "bustapi.flask.globals": "request_ctx",
    "bustapi.flask.helpers": "get_load_dotenv",
    "bustapi.flask.sansio.app": "App",
    "bustapi.flask.sessions": "SessionMixin",
    "bustapi.flask.templating": "DispatchingJinjaLoader Environment",
    "bustapi.flask.typing": "ft=",
    "bustapi.werkzeug": "BaseResponse=Response Request Response run_simple werkzeug=",
    "bustapi.werkzeug.datastructures": (
        "Authorization CallbackDict CombinedMultiDict EnvironHeaders FileMultiDict Headers MultiDict "
        "ds= iter_multi_items"
    ),
    "bustapi.werkzeug.exceptions": (
        "BadRequestKeyError HTTPException InternalServerError MethodNotAllowed NotFound "
        "RequestedRangeNotSatisfiable SecurityError exceptions="
    ),
    "bustapi.werkzeug.http": (
        "dump_header dump_options_header http= http_date parse_cookie parse_dict_header "
        "parse_options_header parse_set_header quote_header_value"
    ),
    "bustapi.werkzeug.routing": (
        "BuildError MapAdapter NoMatch RequestAliasRedirect RequestPath RequestRedirect "
        "RoutingException Rule WebsocketMismatch"
    ),
    "bustapi.werkzeug.sansio.multipart": "Data Epilogue Field File MultipartDecoder MultipartEncoder NeedData Preamble multipart=",
    "bustapi.werkzeug.sansio.utils": "host_is_trusted",
    "bustapi.werkzeug.security": "gen_salt safe_join security=",
    "bustapi.werkzeug.serving": "is_running_from_reloader serving=",
    "bustapi.werkzeug.urls": "iri_to_uri uri_to_iri",
    "bustapi.werkzeug.utils": "cached_property get_content_type import_string redirect send_file",
    "bustapi.werkzeug.wrappers.response": "ResponseStream",
    "bustapi.werkzeug.wsgi": "ClosingIterator wrap_file",
    "click": "ParameterSource",
    "click.testing": "Result",
    "itsdangerous": "BadSignature URLSafeTimedSerializer",
    "jinja2": "BaseLoader FileSystemLoader Template",
    "markupsafe": "Markup escape",
}


def complete(name: str, module: ModuleType) -> None:
    """Let a module of ours answer for the names that the real one has.

    Args:
        name: The real module's name.
        module: Ours.
    """
    names = _NAMES.get(name)
    own = vars(module).get("__getattr__")
    if names is None or getattr(own, "_completes", None) == name:
        return
    homes = {entry.partition("@")[0]: entry.partition("@")[2] for entry in names.split()}
    lookup = _Lookup(name, homes, own)
    module.__getattr__ = lookup  # type: ignore[method-assign]


class _Lookup:
    """A module's `__getattr__`, around the one it has.

    Args:
        name: The real module's name.
        homes: What the real one has besides, and where it is at home if `_HOMES` does not say so.
        own: The module's own function.
    """

    def __init__(self, name: str, homes: dict[str, str], own: Callable[[str], t.Any] | None) -> None:
        self._completes = name
        self._homes = homes
        self._own = own

    def __call__(self, name: str) -> t.Any:
        """Return an attribute that the module does not have.

        Args:
            name: The attribute.

        Raises:
            AttributeError: The real module does not have it either.
        """
        if name in self._homes:
            home = self._homes[name]
            return getattr(import_module(home), name) if home else _find(name)
        if self._own is not None:
            return self._own(name)
        raise AttributeError(f"module 'bustapi.{self._completes}' has no attribute {name!r}")


def _find(name: str) -> t.Any:
    for home, names in _HOMES.items():
        for entry in names.split():
            known, equals, other = entry.partition("=")
            if known == name:
                module = import_module(home)
                return module if equals and not other else getattr(module, other or known)
    raise AttributeError(name)
