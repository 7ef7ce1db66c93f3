"""What a run over many glaciers keeps: scene files, catalogue, workers, results, review."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.projects.catalogue import Catalogue
    from icefront.projects.config import GlacierConfig, MonitoringConfig, read_config
    from icefront.projects.results import ProjectResults, load_results
    from icefront.projects.review import judge, list_for_review
    from icefront.projects.run import RunReport, SceneOutcome, run_monitoring

__all__ = [
    "Catalogue",
    "GlacierConfig",
    "MonitoringConfig",
    "ProjectResults",
    "RunReport",
    "SceneOutcome",
    "judge",
    "list_for_review",
    "load_results",
    "read_config",
    "run_monitoring",
]

__getattr__ = on_first_use(
    __name__,
    {
        "catalogue": ["Catalogue"],
        "config": ["MonitoringConfig", "GlacierConfig", "read_config"],
        "results": ["ProjectResults", "load_results"],
        "review": ["judge", "list_for_review"],
        "run": ["RunReport", "SceneOutcome", "run_monitoring"],
    },
)
