"""One HTML file with all pages of a report (verb `bundle`): each in a frame of its own, shown by its link."""

import html
import json
import re
from collections.abc import Mapping
from typing import Any

from dataengine_lib.report.html import render_template
from dataengine_lib.runs.bundles.links import relinked

_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
# sources in a page's Content-Security-Policy: script-src 'sha256-…';
_SCRIPTS = re.compile(r"script-src ([^;\"]+)")


def one_page(name: str, pages: Mapping[str, str], about: Mapping[str, Any]) -> str:
    """The file's text: `pages` are texts by name, the first one is shown first; `about` is shown folded as JSON."""
    ids = {page: f"page{number}" for number, page in enumerate(pages, 1)}

    def address(target: str, fragment: str) -> str | None:
        # a frame's own address is about:srcdoc, but its links start from that of the whole file
        if not target:
            return f"about:srcdoc#{fragment}"
        return f"#{ids[target]}" if target in ids else None

    shown = []
    for page, text in pages.items():
        title = _TITLE.search(text)
        shown.append({
            "id": ids[page],
            "title": html.unescape(title[1]) if title else page,
            # so that links to another page leave the frame
            "text": relinked(text, page, address).replace(' href="#page', ' target="_top" href="#page'),
        })  # fmt: skip
    # a frame is also held to the policy of the page around it
    scripts = sorted(
        {source for text in pages.values() for found in _SCRIPTS.findall(text) for source in found.split()}
    )
    return render_template(
        "bundle.html.j2",
        name=name,
        pages=shown,
        scripts=" ".join(scripts),
        about=json.dumps(about, indent=1, ensure_ascii=False),
    )
