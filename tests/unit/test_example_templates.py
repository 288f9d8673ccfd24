"""The example templates have what every campaign needs, and point nowhere but at reserved domains."""

import re
from pathlib import Path

import jinja2
import jinja2.meta
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TEMPLATES = ["announcement.html", "newsletter.html", "welcome.html"]
ALWAYS = {"organisation", "postal_address", "unsubscribe_url", "view_online_url"}
KNOWN = ALWAYS | {"first_name", "email", "country", "city", "plan"}


@pytest.mark.parametrize("name", TEMPLATES)
class TestTemplate:
    def test_names_only_tags_that_the_example_contacts_have(self, name: str) -> None:
        source = (EXAMPLES / name).read_text(encoding="utf-8")
        tags = jinja2.meta.find_undeclared_variables(jinja2.Environment(autoescape=True).parse(source))
        assert tags >= ALWAYS
        assert tags <= KNOWN

    def test_loads_nothing_and_links_to_reserved_domains(self, name: str) -> None:
        source = (EXAMPLES / name).read_text(encoding="utf-8")
        links = re.findall(r'href="([^"]*)"', source)
        assert len([link for link in links if link.startswith("https://example.org/")]) >= 2
        assert all(link.startswith(("https://example.org/", "{{ ")) for link in links)
        assert not re.search(r"src=|url\(|@import|<script", source)

    def test_is_small_and_leaves_room_under_the_limit_at_which_gmail_clips(self, name: str) -> None:
        assert (EXAMPLES / name).stat().st_size < 30_000
