"""Errors that a user can cause: one clear sentence each, shown without a traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["FullDiskError", "IcefrontError", "failure", "naming"]

_LONGEST = 300
"""Characters of a library's message; some hold whole tables."""


class IcefrontError(Exception):
    """A mistake a user can mend.

    The message is one sentence that names the file, the value and the mend. The command line
    prints it and exits with a non-zero code; library users may catch it.
    """


class FullDiskError(IcefrontError):
    """A full disk: nothing more can be written, whatever scene or glacier is next."""


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the name of a file before the sentence of every error that does not name it."""
    name = os.fspath(path).encode(errors="backslashreplace").decode()
    try:
        yield
    except IcefrontError as error:
        if name in str(error):
            raise
        raise IcefrontError(f"{name}: {error}") from error


def failure(subject: str | os.PathLike[str], error: Exception) -> str:
    """Return in one sentence why something failed.

    Parameters
    ----------
    subject : path or str
        What failed, such as the file of a scene; the sentence names it.
    error : Exception
        Foreseen, an `IcefrontError`, or not.
    """
    name = os.fspath(subject)
    reason = " ".join(str(error).split())
    if isinstance(error, IcefrontError):
        return reason if os.path.basename(name) in reason else f"{name}: {reason}"
    if isinstance(error, MemoryError):
        return f"{name} does not fit into memory: cut it or use coarser pixels."
    if isinstance(error, OSError) and error.strerror:
        return f"{name} cannot be read or its results written ({error.strerror})."
    if len(reason) > _LONGEST:
        reason = f"{reason[:_LONGEST]}…"
    kind = type(error).__name__
    return f"{name} failed: {kind} ({reason})." if reason else f"{name} failed: {kind}."
