"""Look at a project and correct it: a server of this machine, one page, and its static export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.viewer.export import export_project
    from icefront.viewer.server import view_project

__all__ = ["export_project", "view_project"]

__getattr__ = on_first_use(__name__, {"export": ["export_project"], "server": ["view_project"]})
