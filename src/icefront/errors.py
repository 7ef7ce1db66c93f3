"""Errors that a user can cause: one clear sentence each, shown without a traceback."""

from __future__ import annotations

__all__ = ["IcefrontError"]


class IcefrontError(Exception):
    """A mistake a user can mend.

    The message is one sentence that names the file, the value and the mend. The command line
    prints it and exits with a non-zero code; library users may catch it.
    """
