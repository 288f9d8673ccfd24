"""Uploaded files that wait to be imported are searched when somebody is erased."""

import io
import zipfile
from pathlib import Path

import pytest

from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.privacy.files import forget_everywhere

pytestmark = pytest.mark.anyio
ADDRESS = "Zoe.Quagga@example.org"
ROW = f"email,name\n{ADDRESS},Zoe\n"


def packed(name: str, content: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression) as archive:
        archive.writestr("other.xml", b"<x/>" * 100)
        archive.writestr(name, content)
    return held.getvalue()


THEIRS = {
    "utf8": ROW.upper().encode(),
    "utf16": ROW.encode("utf-16"),
    "big-endian": ROW.encode("utf-16-be"),
    "across-blocks": b"x" * ((1 << 20) - 8) + ROW.encode(),
    "sheet": packed("xl/sharedStrings.xml", f"<si><t>{ADDRESS}</t></si>".encode()),
    "archive": packed("contacts.csv", ROW.encode()),
    "archive-in-archive": packed("in.zip", packed("contacts.csv", ROW.encode())),
    "damaged": packed("contacts.csv", ROW.encode())[:60] + packed("contacts.csv", ROW.encode())[70:],
}
OTHERS = {
    "utf8": b"email\nbob@example.org\n",
    "sheet": packed("xl/sharedStrings.xml", b"<si><t>bob@example.org</t></si>"),
    "binary": bytes(range(256)) * 8,
    "empty": b"",
}


async def test_theirs_go_and_others_stay(db: Database, scope: Scope, other: Scope, tmp_path: Path) -> None:
    if db.postgres:
        pytest.skip("files are the same whatever the database")
    folders = [tmp_path / "imports" / "uploads" / str(each.tenant_id) for each in (scope, other)]
    for folder in folders:
        folder.mkdir(parents=True)
        for name, content in THEIRS.items():
            (folder / f"theirs-{name}").write_bytes(content)
        for name, content in OTHERS.items():
            (folder / f"others-{name}").write_bytes(content)
    gone = await forget_everywhere(db, scope, data_dir=tmp_path, address=ADDRESS.lower())
    mine, theirs = ({path.name for path in folder.iterdir()} for folder in folders)
    assert mine == {f"others-{name}" for name in OTHERS}
    assert gone == len(THEIRS)
    assert len(theirs) == len(THEIRS) + len(OTHERS)
