"""Hook of `.mkdocs.yml`: the README is the site's first page, and CONTRIBUTING one of its pages.

Both stay where readers of the repository look for them; their links are turned to the places that they have in the site.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "NOTICE": "NOTICE",
}  # file of the repository: page of the site
LINK = re.compile(r"(\]\()([^)\s#:]+)([)#])")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside of the folder of the documentation."""
    root = Path(config.docs_dir).parent
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(root / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between the folders of the repository into links between pages."""
    folder = "" if page.file.src_path in OUTSIDE.values() else "docs/"

    def turned(link: re.Match[str]) -> str:
        path = (folder + link[2]).removeprefix("docs/../")
        place = OUTSIDE.get(path, path.removeprefix("docs/"))
        return f"{link[1]}{place}{link[3]}"

    return LINK.sub(turned, markdown)
