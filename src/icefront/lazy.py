"""Public names of a package that are loaded on first use.

PyTorch alone takes a second to load, and neither settings nor ``--help`` need it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

__all__ = ["on_first_use"]


def on_first_use(package: str, names: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Return a ``__getattr__`` of a package that loads the module of a name on first use.

    Parameters
    ----------
    package : str
        Full name of the package.
    names : mapping
        The public names of each of its modules, by the module's name within the package.

    Examples
    --------
    >>> on_first_use("icefront", {"zones": ["ROCK"]})("ROCK")
    1
    """
    modules = {name: f"{package}.{module}" for module, own in names.items() for name in own}

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name]), name)

    return load
