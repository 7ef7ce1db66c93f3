"""Pretraining on unlabelled radar series and optical images: OptSimMIM and OptTranslator."""

from icefront.pretraining.config import PretrainingConfig
from icefront.pretraining.optsimmim import OptSimMIM
from icefront.pretraining.opttranslator import OptTranslator

METHODS = {module.method: module for module in (OptSimMIM, OptTranslator)}

__all__ = ["METHODS", "OptSimMIM", "OptTranslator", "PretrainingConfig"]
