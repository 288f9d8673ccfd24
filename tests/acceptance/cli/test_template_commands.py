"""`mailengine template`, from a file to what a contact sees."""

from pathlib import Path

import pytest

from peers.catcher import Catcher
from support.installation import HTML, Installation


def test_the_forms_of_the_manual(installation: Installation) -> None:
    listed = installation.ok("template", "list", "--json").json
    assert "Newsletter" in {item["name"] for item in listed["items"]}
    shown = installation.ok("template", "show", "Newsletter", "--json").json
    assert shown["source"] == HTML
    assert "<script" not in shown["html"]
    assert "{{ city }}" in shown["text"]
    for name in (("Newsletter",), ("--name", "Newsletter")):
        seen = installation.ok("template", "preview", *name, "--contact", "ann@example.net", "--json").json
        assert "Ann of Köln!" in seen["html"]
        assert "Ann of Köln!" in seen["text"]
        assert "{{" not in seen["html"] + seen["text"] + seen["subject"]


def test_what_was_taken_out_and_what_is_unknown_is_said(installation: Installation, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<p onclick="x()">Hi {{ frist_name }}</p>')
    ran = installation.ok("template", "add", str(page), "--name", "Odd", "--category", "Tests", "--json")
    assert ran.json["unknown"] == ["frist_name"]
    assert ran.json["removed"] == [{"what": "onclick attribute of <p>", "line": 1}]
    assert "onclick" in ran.err
    assert 'did you mean "first_name"?' in ran.err
    assert [item["name"] for item in installation.ok(
        "template", "list", "--category", "Tests", "--json"
    ).json["items"]] == ["Odd"]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (bytes(range(256)), "not text in UTF-8"),
        (b"a\x00b", "binary"),
        (b"x" * 2_000_001, "too large"),
        (b"<p>{{ first_name</p>", "line 1"),
        (b"<p>{% if first_name %}</p>", "line 1"),
        (b"<p>{{ first_name.__class__ }}</p>", "line 1"),
        (b'<p>{% include "nowhere.html" ignore missing %}</p>', "line 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(
    installation: Installation, tmp_path: Path, content: bytes, words: str
) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(content)
    ran = installation.run("template", "add", str(page), "--name", "Bad")
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.complaint
    assert installation.run("template", "show", "Bad").code == 1


def test_a_file_that_cannot_be_read_is_one_line(installation: Installation, tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.html", tmp_path):
        ran = installation.run("template", "add", str(path), "--name", "Bad")
        assert ran.code == 2
        assert str(path) in ran.complaint


def test_a_name_is_taken_once(installation: Installation) -> None:
    ran = installation.run("template", "add", "-", "--name", "Newsletter", stdin=HTML)
    assert ran.code == 1
    assert "already" in ran.complaint


def test_versions_copies_and_deletes(installation: Installation, tmp_path: Path) -> None:
    installation.ok("template", "add", "-", "--name", "First", stdin="<p>One {{ city }}</p>")
    changed = installation.ok("template", "update", "First", "-", "--json", stdin="<p>Two</p>").json
    assert changed["version"] == 2
    installation.ok("template", "duplicate", "First", "Second")
    assert installation.ok("template", "show", "Second", "--part", "text").out.strip() == "Two"
    text = tmp_path / "own.txt"
    text.write_text("My own words\n")
    installation.ok("template", "update", "Second", "--text-file", str(text), "--rename", "Third")
    shown = installation.ok("template", "show", "Third", "--json").json
    assert (shown["text"], shown["text_is_own"], shown["html"].strip()) == (
        "My own words\n", True, "<p>Two</p>"
    )  # fmt: skip
    assert installation.run("template", "update", "Third").code == 2
    assert "--yes" in installation.run("template", "delete", "Third").complaint
    assert installation.ok("template", "delete", "Third", "--yes", "--json").json["deleted"] is True
    assert installation.run("template", "show", "Third").code == 1
    assert installation.run("template", "delete", "Newsletter", "--yes").code == 1  # a draft uses it


def test_a_preview_is_written_to_a_file(installation: Installation, tmp_path: Path) -> None:
    target = tmp_path / "seen.html"
    installation.ok(
        "template", "preview", "Newsletter", "--contact", "bob@example.net", "--output", str(target)
    )
    assert "Bob of Paris!" in target.read_text()
    ran = installation.run(
        "template", "preview", "Newsletter", "--contact", "bob@example.net", "--output", str(tmp_path)
    )
    assert ran.code == 2
    assert str(tmp_path) in ran.complaint


def test_a_test_message_arrives_and_names_nobody_else(installation: Installation, caught: Catcher) -> None:
    before = len(caught.caught)
    sent = installation.ok(
        "template", "test", "Newsletter", "me@example.com", "--contact", "ann@example.net",
        "--from", "Acme <news@example.org>", "--subject", "For {{ first_name }}", "--json",
    ).json  # fmt: skip
    assert sent["sent"] is True
    (message,) = caught.caught[before:]
    assert message.recipients == ["me@example.com"]
    assert message.message["Subject"] == "[Test] For Ann"
    assert message.message["From"] == "Acme <news@example.org>"
    assert b"ann@example.net" not in message.raw
    html = message.message.get_body(("html",))
    assert html is not None
    assert "Ann of Köln!" in html.get_content()
    caught.replies["no@example.com"] = "550 5.1.1 no such user"
    ran = installation.run(
        "template", "test", "Newsletter", "no@example.com", "--from", "Acme <news@example.org>"
    )
    assert ran.code == 1
    assert "no such user" in ran.complaint
    ran = installation.run("template", "test", "Newsletter", "me@example.com")
    assert ran.code == 2
    assert "--from" in ran.complaint


def test_blocks_are_shared_and_cleaned(installation: Installation) -> None:
    added = installation.ok(
        "template", "block", "add", "foot", "-", "--json", stdin="<p>{{ organisation }}<script>x</script></p>"
    ).json
    assert added["removed"]
    listed = installation.ok("template", "block", "list", "--json").json
    assert [item["name"] for item in listed["items"]] == ["foot"]
    installation.ok("template", "add", "-", "--name", "Blocky", stdin='<p>Hi</p>{% include "foot" %}')
    seen = installation.ok("template", "preview", "Blocky", "--contact", "ann@example.net", "--json").json
    assert "Acme" in seen["text"]
    assert "script" not in seen["html"]
    installation.ok("template", "block", "remove", "foot", "--yes")
    ran = installation.run("template", "preview", "Blocky", "--contact", "ann@example.net")
    assert ran.code == 2
    assert "foot" in ran.complaint
