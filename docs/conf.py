"""Sphinx: guides in Markdown, pages of all public names, a gallery that runs during the build."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / "_build"
sys.path.insert(0, str(HERE / "_extensions"))

# The examples of the gallery simulate and train: what they cache stays inside the build folder.
os.environ["ICEFRONT_CACHE"] = str(BUILD / "cache")
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the same figures on every machine

project = "icefront"
author = "The icefront developers"
project_copyright = author
version = release = installed_version("icefront")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "public_names",  # docs/_extensions: pages of the rooms, links to their names
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "gallery", "**/GALLERY_HEADER.*", "**/*.md5", "**/*.ipynb"]
highlight_language = "bash"  # of the guides' blocks without a language
nitpicky = True
nitpick_ignore_regex = [
    # Single backticks in docstrings also hold plain code, and types of other libraries.
    (r"py:obj", r".*"),
    (r"py:.*", r"(?!icefront\.).*"),
]
default_role = "py:obj"

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types, shapes and units stand in the docstrings
autosummary_generate = False  # the pages are written by public_names
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # but for the aliases, which are the public names

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e6,
    "write_computation_times": False,
    "matplotlib_animations": False,
    "nested_sections": False,
    "backreferences_dir": None,
    "default_thumb_file": str(HERE / "images" / "demo.png"),
    "thumbnail_size": (480, 336),
}

html_theme = "pydata_sphinx_theme"
html_title = "icefront"
html_static_path = ["_static"]
html_css_files = ["icefront.css"]
html_extra_path = ["../CITATION.cff"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"index": []}
html_theme_options = {
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "pygments_light_style": "tango",
}
