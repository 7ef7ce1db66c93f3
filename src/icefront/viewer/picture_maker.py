"""Makes pictures of scenes in the background, one at a time, what was asked for last first."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from pathlib import Path

from icefront.errors import IcefrontError, failure

_log = logging.getLogger(__name__)


class PictureMaker:
    """A thread with a pile of pictures to make.

    Somebody who leafs through scenes waits for the one that is looked at, not for those before it;
    what is only likely to be looked at next lies at the bottom of the pile.
    """

    def __init__(self) -> None:
        self._pile: list[tuple[Hashable, Callable[[], Path]]] = []
        self._futures: dict[Hashable, Future[Path]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def ask(self, key: Hashable, make: Callable[[], Path], *, later: bool = False) -> Future[Path]:
        """Have a picture made; return its file in a future.

        Parameters
        ----------
        key : hashable
            What tells it from others: it is made once at a time.
        make : callable
        later : bool
            Only when nothing else is to be done.
        """
        with self._changed:
            if self._closed:
                raise IcefrontError("The server is being stopped.")
            waiting = self._futures.get(key)
            if waiting is not None and later:
                return waiting
            if waiting is None:
                waiting = self._futures[key] = Future()
                self._pile.insert(0 if later else len(self._pile), (key, make))
            else:
                # What is already under way is not on the pile.
                for number, (other, _) in enumerate(self._pile):
                    if other == key:
                        self._pile.append(self._pile.pop(number))
                        break
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="pictures")
                self._thread.start()
            self._changed.notify()
            return waiting

    def close(self) -> None:
        """Make nothing more; whoever waits is told."""
        with self._changed:
            self._closed = True
            for key, _ in self._pile:
                self._futures.pop(key).set_exception(IcefrontError("The server is being stopped."))
            self._pile.clear()
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._pile:
                    if self._closed:
                        return
                    self._changed.wait()
                key, make = self._pile.pop()
                future = self._futures[key]
                if not future.set_running_or_notify_cancel():
                    del self._futures[key]
                    continue
            made: Path | None = None
            error: IcefrontError | None = None
            try:
                made = make()
            except IcefrontError as known:
                error = known
            except Exception as unknown:  # one scene must not stop the others
                _log.exception("A picture could not be made.")
                error = IcefrontError(failure("The picture", unknown))
            with self._changed:
                del self._futures[key]
            if error is None:
                assert made is not None
                future.set_result(made)
            else:
                future.set_exception(error)
