"""The base of extensions written for BustAPI: settings with defaults, state for each application, commands, teardown.

An extension derives from `Extension`, says what its state is, and makes it in `setup`::

    class Pool(Extension[ConnectionPool]):
        name = "pool"
        defaults = {"URL": "db://localhost", "SIZE": 10}

        def setup(self, app: Flask) -> ConnectionPool:
            return ConnectionPool(self.setting(app, "URL"), self.setting(app, "SIZE"))

    pool = Pool()
    pool.init_app(app)      # app.config["POOL_SIZE"] is 10 unless it was set
    pool.state.acquire()    # a ConnectionPool, for type checkers too

Extensions for Flask work as they are (see `bustapi.bridge`); this is for those that need nothing else.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import click

    from .flask.app import Flask

State = t.TypeVar("State")


class Extension(t.Generic[State]):
    """An extension that any number of applications can use.

    Args:
        app: An application to set it up for at once.
        settings: Values of its settings, without the prefix; the application's configuration wins over them.

    Compatible with: BustAPI only.
    """

    #: The key in `app.extensions`, the name of the group of commands, and in capitals the prefix of the settings.
    name: t.ClassVar[str]
    #: The settings without the prefix, each with its default.
    defaults: t.ClassVar[t.Mapping[str, t.Any]] = {}

    def __init_subclass__(cls, **options: t.Any) -> None:
        """Check what a subclass says of itself.

        Raises:
            TypeError: Its name is no identifier.
        """
        super().__init_subclass__(**options)
        name = getattr(cls, "name", None)
        if not isinstance(name, str) or not name.isidentifier():
            raise TypeError(f"{cls.__qualname__}.name must be an identifier, not {name!r}")

    def __init__(self, app: Flask | None = None, **settings: t.Any) -> None:
        unknown = sorted(set(settings) - set(self.defaults))
        if unknown:
            raise TypeError(f"{type(self).__name__} has no setting {', '.join(unknown)}")
        self._settings = settings
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set the extension up for an application.

        Args:
            app: The application.

        Raises:
            RuntimeError: An extension of this name is set up for it already.
        """
        if self.name in app.extensions:
            raise RuntimeError(f"the extension {self.name!r} is set up for {app.name!r} already")
        for key, default in {**self.defaults, **self._settings}.items():
            app.config.setdefault(self._key(key), default)
        app.extensions[self.name] = _Attached(self, self.setup(app))
        # An overridden method is called; a hook that does nothing would cost each request.
        if type(self).teardown is not Extension.teardown:
            app.teardown_appcontext(self._tear_down)
        if type(self).add_commands is not Extension.add_commands:
            from .flask.cli import AppGroup

            group = AppGroup(self.name.replace("_", "-"), help=self._summary())
            self.add_commands(group)
            app.cli.add_command(group)

    def setup(self, app: Flask) -> State:
        """Return the state for an application: whatever the extension keeps. Override it.

        Args:
            app: The application; its configuration has all settings.
        """
        return t.cast(State, None)

    def teardown(self, state: State, error: BaseException | None) -> None:
        """End what an application context used. Override it if there is something to end; it costs each request.

        Args:
            state: The application's state.
            error: What nothing handled, if anything.
        """

    def add_commands(self, group: click.Group) -> None:
        """Add commands to the extension's group. Override it if there are any.

        Args:
            group: The group; its commands run in an application context.
        """

    @property
    def state(self) -> State:
        """The current application's state.

        Raises:
            RuntimeError: There is no application context, or the extension is not set up for its application.
        """
        from .flask.globals import current_app

        return self.state_of(current_app)

    def state_of(self, app: Flask) -> State:
        """Return the state of an application.

        Args:
            app: The application.

        Raises:
            RuntimeError: The extension is not set up for it.
        """
        attached = app.extensions.get(self.name)
        if not isinstance(attached, _Attached) or attached.extension is not self:
            raise RuntimeError(f"the extension {self.name!r} is not set up for {app.name!r}: call init_app")
        return t.cast(State, attached.state)

    def setting(self, app: Flask, key: str) -> t.Any:
        """Return a setting of an application.

        Args:
            app: The application.
            key: The setting's name without the prefix.

        Raises:
            KeyError: There is no such setting.
        """
        return app.config[self._key(key)]

    def _key(self, key: str) -> str:
        return f"{self.name.upper()}_{key}"

    def _tear_down(self, error: BaseException | None) -> None:
        self.teardown(self.state, error)

    def _summary(self) -> str:
        return (type(self).__doc__ or "").strip().partition("\n")[0]


class _Attached(t.NamedTuple):
    """An entry of `app.extensions`."""

    extension: Extension[t.Any]
    state: t.Any
