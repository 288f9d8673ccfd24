"""What the pages promise before a browser sees them: a strict content policy, one palette, small files."""

import gzip
import json
import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[3] / "src" / "mailengine" / "web"
DIST = WEB / "static" / "dist"
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))
STYLES = sorted((WEB / "assets" / "src").glob("*.css"))
# `default-src 'self'` refuses each of these.
INLINE = re.compile(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|javascript:|\bhx-on\b", re.I)
HEX_COLOUR = re.compile(r"#[0-9a-f]{3,8}\b", re.I)
BUDGET_BYTES = 30_000
MACRO = re.compile(r"\{%-? macro (\w+)\(.*?\{%-? endmacro", re.S)
POST = re.compile(r"\{\{ post_button\(.*?\) \}\}", re.S)
ENDS = re.compile(
    r'post_button\("(?:Delete|Remove|Revoke|Withdraw|Erase|Leave|Cancel|Switch off|Take back|End)\b'
)
# What the numbers that come late are exchanged with; the number itself is shown.
UNSEEN = {"late_numbers", "late_answer", "late_total"}


def test_templates_hold_nothing_inline() -> None:
    found = [
        f"{path.relative_to(WEB)}: {match[0]}"
        for path in TEMPLATES
        for match in INLINE.finditer(re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL))
    ]
    assert found == []


def test_pages_ask_nothing_of_other_hosts() -> None:
    asked = re.compile(r"""(?:src|href|action|hx-[a-z]+)=["'](?:https?:)?//|url\(["']?(?:https?:)?//""")
    found = [str(path) for path in (*TEMPLATES, *STYLES) if asked.search(path.read_text())]
    assert found == []


def test_colours_are_written_down_once() -> None:
    found = [
        f"{path.name}: {match[0]}"
        for path in STYLES
        if path.name != "tokens.css"
        for match in HEX_COLOUR.finditer(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize("source", ["src/app.js", "src/app.css"])
def test_built_files_keep_their_budget(source: str) -> None:
    if not (DIST / "manifest.json").is_file():
        pytest.skip("the web assets are not built (MAILENGINE_SKIP_WEB)")
    manifest = json.loads((DIST / "manifest.json").read_text())
    built = (DIST / manifest[source]["file"]).read_bytes()
    assert len(gzip.compress(built)) < BUDGET_BYTES


def test_the_style_guide_shows_every_component() -> None:
    """P0-10: each macro is called there, in the layout around it, or by a component that is."""
    pages = WEB / "templates"
    parts = [path.read_text() for path in sorted((pages / "components").rglob("*.html"))]
    macros = {found[1]: found[0] for part in parts for found in MACRO.finditer(part)}
    seen = "".join((pages / name).read_text() for name in ("pages/styleguide.html", "layouts/app.html"))
    unseen = {name for name in macros if not name.startswith("_")} - UNSEEN
    while shown := {name for name in unseen if re.search(rf"\b{name}(?: as \w+|\()", seen)}:
        seen += "".join(macros[name] for name in shown)
        unseen -= shown
    assert unseen == set()


def test_whatever_ends_something_asks_first() -> None:
    """P0-07: in the ConfirmModal, which a title opens."""
    found = [
        call[0] for path in TEMPLATES for call in POST.finditer(path.read_text()) if ENDS.search(call[0])
    ]
    assert len(found) > 15
    assert [call for call in found if "title=" not in call] == []
