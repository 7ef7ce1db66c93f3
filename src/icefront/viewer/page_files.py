"""The files of the page, and the page of an export: one that a double click can open.

Browsers load no modules from ``file:``. For an export the modules of the page are therefore joined
into one classic script, each in a function of its own; nothing else about them changes.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

PAGE = Path(__file__).parent / "page"
"""Folder of the page: ``index.html``, style, modules, and the libraries in ``vendor``."""

ENTRY = "main.js"
ASSETS = "assets"
SCRIPT = "page.js"
DATA = "data/project.js"

_POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src 'self' file: "
    "data: blob:; base-uri 'none'; form-action 'none'"
)

_ALL = re.compile(r'^import \* as (\w+) from "\./([\w.]+)";\n', re.MULTILINE)
_NAMES = re.compile(r'^import \{([^}]*)\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (?P<name>\w+))", re.MULTILINE)


def export_page(folder: Path) -> None:
    """Write the page of an export: ``index.html`` and ``assets/``, which read ``data/project.js``.

    Parameters
    ----------
    folder : Path
        Is there already.
    """
    assets = folder / ASSETS
    shutil.copytree(PAGE / "vendor", assets / "vendor")
    for path in sorted(PAGE.iterdir()):
        if path.suffix in (".css", ".svg"):
            shutil.copyfile(path, assets / path.name)
    (assets / SCRIPT).write_text(joined_modules(PAGE / ENTRY), "utf-8")
    text = (PAGE / "index.html").read_text("utf-8")
    data = f'<script src="{DATA}" defer></script>'
    module = f'<script src="{{{{assets}}}}/{ENTRY}" type="module"></script>'
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    for old, new in (
        ('<meta charset="utf-8">', f'<meta charset="utf-8">\n{policy}'),
        (module, f'<script src="{ASSETS}/{SCRIPT}" defer></script>'),
        ("{{data}}", data),
        ("{{assets}}", ASSETS),
    ):
        text = text.replace(old, new)
    (folder / "index.html").write_text(text, "utf-8")


def joined_modules(entry: Path) -> str:
    """Return a module and all that it imports as one classic script.

    The modules of the page keep to few forms: ``import * as name``, ``import {names}`` in one
    statement, and ``export`` before a function, class or constant.

    Parameters
    ----------
    entry : Path
        The module that starts the page; the others lie beside it.

    Raises
    ------
    ValueError
        If modules import each other in a circle.
    """
    order: list[Path] = []
    _collect(entry, order, [])
    parts = ['"use strict";\n(() => {\nconst modules = {};\n']
    parts += [_as_function(path) for path in order]
    return "".join([*parts, "})();\n"])


def _collect(path: Path, order: list[Path], above: list[Path]) -> None:
    """Put a module behind all that it imports."""
    if path in above:
        circle = " → ".join(one.name for one in [*above, path])
        raise ValueError(f"Modules import each other in a circle: {circle}.")
    if path in order:
        return
    text = path.read_text("utf-8")
    for _, name in _ALL.findall(text) + _NAMES.findall(text):
        _collect(path.parent / name, order, [*above, path])
    order.append(path)


def _as_function(path: Path) -> str:
    text = path.read_text("utf-8")
    names = [found["name"] for found in _EXPORT.finditer(text)]
    text = _ALL.sub(r'const \1 = modules["\2"];\n', text)
    text = _NAMES.sub(r'const {\1} = modules["\2"];\n', text)
    text = _EXPORT.sub("", text)
    return f'modules["{path.name}"] = (() => {{\n{text}\nreturn {{ {", ".join(names)} }};\n}})();\n'
