"""Several people on the same images: how well they agree, and how close models come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.annotators.consensus import Consensus, draw_consensus
    from icefront.annotators.report import write_study
    from icefront.annotators.study import Person, Study, study_annotators
    from icefront.annotators.traces import TracedFront, read_traces

__all__ = [
    "Consensus",
    "Person",
    "Study",
    "TracedFront",
    "draw_consensus",
    "read_traces",
    "study_annotators",
    "write_study",
]

__getattr__ = on_first_use(
    __name__,
    {
        "consensus": ["Consensus", "draw_consensus"],
        "report": ["write_study"],
        "study": ["Person", "Study", "study_annotators"],
        "traces": ["TracedFront", "read_traces"],
    },
)
