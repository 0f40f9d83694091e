"""How Sphinx builds the documentation (`make docs`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent / "src")]

from petscale import __version__  # noqa: E402  the checkout's, wherever another one is installed

project = "petscale"
author = "The petscale developers"
copyright = "The petscale developers, Apache-2.0"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxarg.ext",
    "sphinx_copybutton",
    "commands",
    "config_keys",
    "docstrings",
]
exclude_patterns = ["_build", "_extensions"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
nitpicky = False  # types of other libraries have no page here; links between pages are checked all the same

# The reference of the code: one page for each package, from its docstrings.
apidoc_modules = [
    {
        "path": "../src/petscale",
        "destination": "api",
        "separate_modules": False,
        "module_first": True,
        "no_headings": False,
        "automodule_options": {"members"},
        "exclude_patterns": ["**/__main__.py"],
    }
]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"exclude-members": "model_config, model_fields, model_computed_fields, model_post_init"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # an attribute that is also annotated is described once
default_role = "code"

# Theme: everything it loads is in the built site; no fonts or scripts of other hosts.
html_theme = "pydata_sphinx_theme"
html_title = "petscale"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 5,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": []}
copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .gp, .go, .c1"  # the comment behind a command is not copied
# A type that one module defines and another passes on has two places; the link leads to one of them.
suppress_warnings = ["config.cache", "ref.python"]


def _with_title(_app: object, page: str, source: list[str]) -> None:
    """Give tables of claims a title, which the file of a study has not."""
    titles = {"study/tables/claims": "the default study", "comparison/tables/claims": "the comparison of methods"}
    if page in titles:
        source[0] = f"# All claims of {titles[page]}\n\n{source[0]}"


def setup(app: Any) -> None:
    """Connect what this file adds to Sphinx."""
    app.connect("source-read", _with_title)
