"""What a template costs: cleaning it when it is saved, and rendering it for one recipient."""

import timeit
from pathlib import Path

from benchmarks import house
from benchmarks.report import Row
from mailengine.domain.content.merge import compile_template
from mailengine.domain.content.sanitise import sanitise

_CORPUS = Path(__file__).resolve().parents[1] / "tests" / "unit" / "content" / "corpus"
_SAVED_BYTES = 48_000  # a large newsletter: half of what mailboxes clip
_VALUES = {
    "first_name": "Jürgen",
    "last_name": "Müller",
    "plan": "pro",
    "city": "Łódź",
    "postal_address": "4 Dock Road, Leeds",
    "unsubscribe_url": "https://example.org/u/abcdefghijklmnop",
}


def run(quick: bool) -> list[Row]:
    """CPU-bound and single: the best of five repetitions."""
    page = _newsletter()
    compiled = compile_template(house.HTML, target="html")
    renders = 2_000 if quick else 10_000
    saved = min(timeit.repeat(lambda: sanitise(page), number=1, repeat=5))
    rendered = min(timeit.repeat(lambda: compiled.render(_VALUES), number=renders, repeat=5)) / renders
    return [
        {"name": "clean a template of 48 kB when it is saved", "value": round(saved * 1e3), "unit": "ms"},
        {"name": "render 4 kB of HTML for one recipient", "value": round(rendered * 1e6, 1), "unit": "µs"},
    ]


def _newsletter() -> str:
    source = (_CORPUS / "newsletter.html").read_text("utf-8")
    inner = source.partition("<body")[2].partition(">")[2].partition("</body>")[0]
    while len(source) < _SAVED_BYTES:
        source = source.replace("</body>", f"{inner}</body>")
    return source
