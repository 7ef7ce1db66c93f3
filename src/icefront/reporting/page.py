"""HTML pages that hold everything they show: one look, no other file, no network."""

from __future__ import annotations

from typing import Any

import jinja2
from markupsafe import Markup

from icefront.reporting.tables import cell_text


def render_page(package: str, template: str, **values: Any) -> str:
    """Return a page by a template of a room.

    The template extends ``base.html``, whose blocks are ``title``, ``style`` (further rules) and
    ``content``, and imports ``table`` (a table) and ``titled_table`` (with its title, folded if the
    table says so) from ``tables.html``; both take an `icefront.reporting.tables.Table`.

    Parameters
    ----------
    package : str
        The package beside whose modules the template lies, such as ``icefront.products``.
    template : str
        Name of its file.
    **values
        What the template shows. Text is escaped: names of files and glaciers come from outside.

    Returns
    -------
    str
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package, "."), jinja2.PackageLoader("icefront.reporting", ".")]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    return environment.get_template(template).render(**values)


def _shown(value: Any) -> Any:
    """Return what a page shows of a value: nothing that steers a terminal, a dash for none."""
    return value if isinstance(value, (Markup, jinja2.Undefined)) else cell_text(value)
