"""What a benchmark leaves behind: tables, figures, one page that holds them all."""

from __future__ import annotations

from icefront.evaluation.report.gallery import SCENES, Gallery
from icefront.evaluation.report.tables import headline
from icefront.evaluation.report.writing import FIGURES, write_report

__all__ = ["FIGURES", "SCENES", "Gallery", "headline", "write_report"]
