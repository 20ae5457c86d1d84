"""Reactors that accept in the place of one whose thread a view holds.

A view that requests its own server, or waits for another request, must not stop the world: new connections go to a
spare reactor until the view has returned. The connections that the held reactor has already wait for it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .errors import say

if TYPE_CHECKING:
    from bustapi._core import Reactor

    from .host import ThreadHost

#: Spare reactors that exist at once, those that only finish what they have included.
MOST = 8
#: Seconds that what a spare has accepted may take once it is not needed any more.
FINISH = 3600.0


class Spares:
    """The spare reactors of a process. All but `drain` and `abort` is called by the watch's thread.

    Args:
        host: Whose reactors are helped out.
    """

    def __init__(self, host: ThreadHost) -> None:
        self._host = host
        #: Of each reactor that is held: the spare that accepts for it.
        self._for: dict[int, Reactor] = {}
        self._doors: dict[int, int] = {}
        self._alive: list[Reactor] = []
        #: The threads, joined by the host.
        self.threads: list[threading.Thread] = []

    def take_over(self, number: int) -> None:
        """Accept for a reactor that a view holds.

        Args:
            number: The reactor's number.
        """
        from .host import spawn

        if number in self._for or len(self._alive) >= MOST:
            return
        door = self._doors.get(number, number)
        spare = self._host.spare(door)
        if spare is None:
            return
        watched = self._host.watch.add(spare)
        # It may be held itself, and then another one accepts where it did.
        self._doors[watched] = door
        self._for[number] = spare
        self._alive.append(spare)
        self.threads = [thread for thread in self.threads if thread.is_alive()]
        try:
            self.threads.append(spawn(f"bustapi-spare-{watched + 1}", self._serve, spare, watched))
        except RuntimeError:
            self._forget(spare, watched)
            return
        if self._host.draining:
            spare.drain(self._host.grace)

    def give_back(self, number: int) -> None:
        """Let a reactor accept for itself again.

        Args:
            number: The reactor's number.
        """
        spare = self._for.pop(number, None)
        if spare is not None and not self._host.draining:
            spare.drain(FINISH)

    def drain(self) -> None:
        """End with the server. Safe from any thread and handler."""
        for spare in list(self._alive):
            spare.drain(self._host.grace)

    def abort(self) -> None:
        """End now. Safe from any thread and handler."""
        for spare in list(self._alive):
            spare.abort()

    def _serve(self, spare: Reactor, watched: int) -> None:
        try:
            spare.run()
        except BaseException as error:
            say(f"a spare reactor failed ({type(error).__name__}: {error})")
        finally:
            self._forget(spare, watched)

    def _forget(self, spare: Reactor, watched: int) -> None:
        self._host.watch.remove(watched)
        self._doors.pop(watched, None)
        if spare in self._alive:
            self._alive.remove(spare)
        for number, other in list(self._for.items()):
            if other is spare:
                del self._for[number]
