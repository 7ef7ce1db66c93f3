"""Where tests find recipes, reference outputs and real data."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
REFERENCE = ROOT / "tests" / "reference" / "data"
DATA = Path(os.environ.get("ICEFRONT_DATA", ROOT.parent / "shared" / "data"))
