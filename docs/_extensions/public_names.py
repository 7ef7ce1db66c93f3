"""Write a page for each room of `icefront` and for each of its public names, and link to them.

What is public is said in one place, ``__all__`` of the room, so that a new or renamed function is
on its page the next time the documentation is built.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from numpydoc.xref import DEFAULT_LINKS
from pydantic import BaseModel
from sphinx import addnodes
from sphinx.application import Sphinx

import icefront

FOLDER = "api"


@cache
def rooms() -> dict[str, ModuleType]:
    """Return every room and module right under `icefront` that has ``__all__``, by full name."""
    found = {}
    for module in pkgutil.iter_modules(icefront.__path__, "icefront."):
        if module.name == "icefront.__main__":
            continue
        room = importlib.import_module(module.name)
        if getattr(room, "__all__", None):
            found[module.name] = room
    return found


@cache
def homes() -> dict[str, str]:
    """Return for each public name the full name under which it has its page."""
    found: dict[str, str] = {}
    for name, room in [("icefront", icefront), *rooms().items()]:
        for public in room.__all__:
            # A name of two rooms has its page in the room where it is defined.
            value = getattr(room, public)
            if public not in found or getattr(value, "__module__", "").startswith(f"{name}."):
                found[public] = f"{name}.{public}"
    return found


def _directive(value: Any) -> str:
    if inspect.isclass(value):
        return "autoexception" if issubclass(value, Exception) else "autoclass"
    return "autofunction" if callable(value) else "autodata"


def _write_name(folder: Path, full: str, value: Any) -> None:
    directive = _directive(value)
    options = {"autodata": ["   :no-value:"], "autoclass": ["   :members:"]}.get(directive, [])
    if directive == "autoclass" and _shown(value.__bases__):
        options.append("   :show-inheritance:")
    title = full.rpartition(".")[2]
    lines = [title, "=" * len(title), "", f".. {directive}:: {full}", *options, ""]
    (folder / f"{title}.rst").write_text("\n".join(lines))


def _shown(bases: Iterable[type]) -> list[type]:
    """Return the bases that have a page here or that readers know from another package."""
    ours = [base for base in bases if base.__module__.startswith("icefront.")]
    known = [base for base in bases if base.__module__.partition(".")[0] in ("torch", "numpy")]
    return known + [base for base in ours if base.__name__ in homes()]


def _table(names: list[str]) -> list[str]:
    return [".. autosummary::", "   :nosignatures:", "", *(f"   {name}" for name in names), ""]


def _toctree(pages: list[str]) -> list[str]:
    return [".. toctree::", "   :hidden:", "", *(f"   {page}" for page in pages), ""]


def link_types(app: Sphinx, config: Any) -> None:
    """Link types of this package; those of others stay words: nothing is fetched to link them."""
    config.numpydoc_xref_aliases = {word: word for word in DEFAULT_LINKS} | homes()


def write_pages(app: Sphinx, config: Any) -> None:
    """Write the sources of all pages; run before Sphinx looks for them."""
    folder = Path(app.srcdir) / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    top = ["Public names", "============", "", inspect.getdoc(icefront) or "", ""]
    top += ["Most work needs only these:", "", ".. list-table::", ""]
    names = [name for name in icefront.__all__ if not name.startswith("__")]
    for name in names:
        summary = (inspect.getdoc(getattr(icefront, name)) or "").partition("\n")[0]
        top += [f"   * - :py:obj:`icefront.{name} <{homes()[name]}>`", f"     - {summary}"]
    own = [name for name in names if homes()[name] == f"icefront.{name}"]
    top += ["", "The rooms of the package, each with what it is about:", "", *_table(list(rooms()))]
    top += _toctree([name.rpartition(".")[2] for name in rooms()] + own)
    for name in own:
        _write_name(folder, f"icefront.{name}", getattr(icefront, name))
    for name, room in rooms().items():
        short = name.rpartition(".")[2]
        lines = [short, "=" * len(short), "", f".. automodule:: {name}", "   :no-members:", ""]
        own = [each for each in room.__all__ if homes()[each] == f"{name}.{each}"]
        lines += _table([each if each in own else homes()[each] for each in room.__all__])
        lines += _toctree([f"{short}/{each}" for each in own])
        (folder / f"{short}.rst").write_text("\n".join(lines))
        (folder / short).mkdir()
        for each in own:
            _write_name(folder / short, f"{name}.{each}", getattr(room, each))
    (folder / "index.rst").write_text("\n".join(top))


def describe_fields(
    app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Add the fields of a pydantic class that are described in the class body, not above it."""
    if not (inspect.isclass(value) and issubclass(value, BaseModel)):
        return
    if any(line.strip() in ("Attributes", "Parameters") for line in lines):
        return
    fields = {key: field for key, field in value.model_fields.items() if field.description}
    if fields:
        lines += ["", "Attributes", "----------"]
        for key, field in fields.items():
            lines += [key, f"    {field.description}"]


def skip_inherited(app: Sphinx, what: str, name: str, value: Any, skip: bool, options: Any) -> Any:
    """Leave out what pydantic and dataclasses write into a class."""
    return True if name in ("model_config", "model_post_init", "model_fields") else None


def hide_private_bases(app: Sphinx, name: str, value: Any, options: Any, bases: list[Any]) -> None:
    """Name only base classes that say something to a reader."""
    bases[:] = _shown(bases)


def shorten_signature(
    app: Sphinx, what: str, name: str, value: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Leave the fields of settings to their description: forty defaults in a row say little."""
    if inspect.isclass(value) and issubclass(value, BaseModel):
        return "(**fields)", ""
    return None


def link_public_names(app: Sphinx, env: Any, node: Any, child: Any) -> Any:
    """Link a public name in backticks to its page, in whatever room it is mentioned."""
    target = node["reftarget"]
    home = homes().get(target.rpartition(".")[2])
    if node.get("refdomain") != "py" or home is None or home == target:
        return None
    if "." in target and not target.startswith("icefront."):
        return None  # somebody else's name
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", home, node, child)


def link_repository_files(app: Sphinx, doctree: nodes.document) -> None:
    """Link README and CONTRIBUTING, which name files beside them, to the pages of those files."""
    pages = {"CONTRIBUTING.md": "contributing.html", "CHANGELOG.md": "changelog.html"}
    pages |= {Path(path).name: Path(path).name for path in app.config.html_extra_path}
    for node in list(doctree.findall(addnodes.pending_xref)):
        if node.get("reftype") == "myst" and node["reftarget"] in pages:
            children = node.children[0].children
            uri = pages[node["reftarget"]]
            node.replace_self(nodes.reference("", "", *children, internal=False, refuri=uri))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", link_types, priority=100)  # before numpydoc reads them
    app.connect("config-inited", write_pages)
    app.connect("autodoc-process-docstring", describe_fields, priority=100)
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-process-bases", hide_private_bases)
    app.connect("autodoc-skip-member", skip_inherited)
    app.connect("missing-reference", link_public_names)
    app.connect("doctree-read", link_repository_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
