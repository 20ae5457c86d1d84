"""Views as classes."""

from __future__ import annotations

import typing as t

from .globals import current_app, request

if t.TYPE_CHECKING:
    from . import typing as ft

http_method_funcs = frozenset({"get", "post", "head", "options", "delete", "put", "trace", "patch"})


class View:
    """A view as a class: `as_view` makes the function that is registered.

    Compatible with: flask.views.View (3.1)
    """

    #: The methods of its rules, unless the rule names its own.
    methods: t.ClassVar[t.Collection[str] | None] = None
    #: Whether OPTIONS is answered without the view; None leaves it to the rule.
    provide_automatic_options: t.ClassVar[bool | None] = None
    #: Decorators of the view function, the first one innermost.
    decorators: t.ClassVar[list[t.Callable[..., t.Any]]] = []
    #: Whether every request gets its own instance; if not, `self` must hold nothing of a request.
    init_every_request: t.ClassVar[bool] = True

    def dispatch_request(self) -> ft.ResponseReturnValue:
        """Answer the request; a subclass must define it. It is called with the rule's values."""
        raise NotImplementedError

    @classmethod
    def as_view(cls, name: str, *class_args: t.Any, **class_kwargs: t.Any) -> ft.RouteCallable:
        """Return a view function of this class.

        Args:
            name: The function's name, and with it the default endpoint.
            class_args: For the constructor.
            class_kwargs: For the constructor.
        """
        view: t.Any
        if cls.init_every_request:

            def view(**kwargs: t.Any) -> ft.ResponseReturnValue:
                # By way of the function: a decorator or an extension may have put another class there.
                self = view.view_class(*class_args, **class_kwargs)
                return current_app.ensure_sync(self.dispatch_request)(**kwargs)  # type: ignore[no-any-return]

        else:
            instance = cls(*class_args, **class_kwargs)

            def view(**kwargs: t.Any) -> ft.ResponseReturnValue:
                return current_app.ensure_sync(instance.dispatch_request)(**kwargs)  # type: ignore[no-any-return]

        for decorator in cls.decorators:
            # Named before each decorator, so that what copies the name copies the right one.
            view.__name__ = name
            view.__module__ = cls.__module__
            view = decorator(view)
        view.view_class = cls
        view.__name__ = name
        view.__doc__ = cls.__doc__
        view.__module__ = cls.__module__
        view.methods = cls.methods
        view.provide_automatic_options = cls.provide_automatic_options
        return t.cast("ft.RouteCallable", view)


class MethodView(View):
    """A view with a method per HTTP method: `get`, `post` and so on.

    Compatible with: flask.views.MethodView (3.1)
    """

    def __init_subclass__(cls, **kwargs: t.Any) -> None:
        super().__init_subclass__(**kwargs)
        if "methods" in cls.__dict__:
            return
        methods = {name.upper() for name in http_method_funcs if hasattr(cls, name)}
        for base in cls.__bases__:
            methods.update(getattr(base, "methods", None) or ())
        if methods:
            cls.methods = methods

    def dispatch_request(self, **kwargs: t.Any) -> ft.ResponseReturnValue:
        """Call the method of the request's HTTP method; `get` also answers HEAD."""
        handler = getattr(self, request.method.lower(), None)
        if handler is None and request.method == "HEAD":
            handler = getattr(self, "get", None)
        assert handler is not None, f"Unimplemented method {request.method!r}"
        return current_app.ensure_sync(handler)(**kwargs)  # type: ignore[no-any-return]
