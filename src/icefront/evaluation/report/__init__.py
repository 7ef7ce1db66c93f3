"""The report of a benchmark: tables, figures, one page that holds them all."""

from __future__ import annotations

from icefront.evaluation.report.files import FIGURES, write_report
from icefront.evaluation.report.gallery import SCENES, Gallery
from icefront.evaluation.report.tables import headline

__all__ = ["FIGURES", "SCENES", "Gallery", "headline", "write_report"]
