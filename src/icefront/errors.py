"""Errors that a user can cause: one clear sentence each, shown without a traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["IcefrontError", "naming"]


class IcefrontError(Exception):
    """A mistake a user can mend.

    The message is one sentence that names the file, the value and the mend. The command line
    prints it and exits with a non-zero code; library users may catch it.
    """


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the name of a file before the sentence of every error that does not name it."""
    name = os.fspath(path)
    try:
        yield
    except IcefrontError as error:
        if name in str(error):
            raise
        raise IcefrontError(f"{name}: {error}") from error
