"""How Sphinx makes the pages of `make site`: the guides and README, as they lie in the repository."""

from __future__ import annotations

import re
from typing import Any

project = "fastreq-jupyter"
author = "The fastreq-jupyter developers"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "docs/*.md"]
html_theme = "furo"
html_title = "fastreq-jupyter"
html_copy_source = False
html_show_copyright = False
html_extra_path = ["site"]
myst_heading_anchors = 3
# %% begins a cell's magic, which Python's own lexer does not know.
highlight_language = "ipython3"
suppress_warnings = ["misc.highlighting_failure"]
# Held by tests/test_guides.py and tests/test_readme.py: what is linked in the repository and is no page.
nitpicky = True


def list_guides(_: Any, name: str, source: list[str]) -> None:
    """Make the menu of the pages that the index links to, in its order: one that it misses is a warning, and so an error."""
    if name == root_doc:
        pages = dict.fromkeys(re.findall(r"\]\(([\w./-]+)\.md\)", source[0]))
        source[0] += "\n```{toctree}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"


def setup(app: Any) -> None:
    """Tell Sphinx."""
    app.connect("source-read", list_guides)
