"""Files of other programs, spreadsheets and archives: recognised, unpacked with care, read like any other."""

import zipfile
from pathlib import Path
from tempfile import mkdtemp

import pytest

from mailengine.core.errors import InvalidInput
from mailengine.domain.contacts.formulas import defused, revived
from mailengine.domain.contacts.imports import tables
from mailengine.domain.contacts.imports.hints import hints
from mailengine.domain.contacts.imports.names import split_name
from mailengine.domain.contacts.imports.rows import Rejected, Row
from mailengine.domain.contacts.imports.source import Reader, Source, understand
from support.house import NOW

CORPUS = Path(__file__).parent / "corpus" / "exports"
CSV = "email,city,score\nada@example.org,London,3\nnobody,Paris,4\n"


def read(path: Path, folder: Path, **options: str | None) -> tuple[Source, list[Row], list[Rejected]]:
    source = understand(path, mapping={}, folder=Path(mkdtemp(dir=folder)), **options)
    reader, rows, rejected = Reader(source, now=NOW), list[Row](), list[Rejected]()
    while batch := reader.next_batch():
        rows += batch.rows
        rejected += batch.rejected
    return source, rows, rejected


@pytest.mark.parametrize(
    ("name", "program", "states", "tags", "attributes"),
    [
        ("mailchimp", "Mailchimp", [None, "unsubscribed"], ("VIP", "Blog, weekly"), {"company": "Engines"}),
        (
            "listmonk",
            "listmonk",
            ["subscribed", "unsubscribed"],
            (),
            {"city": "London", "orders": 3, "beta": True, "likes": ["tea", "maths"]},
        ),
        ("brevo", "Brevo", [None, "unsubscribed"], (), {"sms": 441632960001}),
        ("mautic", "Mautic", [None, "unsubscribed"], ("vip", "beta"), {"company": "Engines", "points": 20}),
        ("google", "Google", [None, None], ("Friends", "VIP"), {"birthday": "1815-12-10"}),
        (
            "outlook",
            "Outlook",
            [None, None],
            ("VIP", "Friends"),
            {"birthday": "1815-12-10", "company": "Engines"},
        ),
    ],
)
def test_exports_of_other_programs(
    tmp_path: Path,
    name: str,
    program: str,
    states: list[str | None],
    tags: tuple[str, ...],
    attributes: dict[str, object],
) -> None:
    source, rows, rejected = read(CORPUS / f"{name}.csv", tmp_path)
    assert source.format == program
    assert [(row.email, row.first_name, row.last_name) for row in rows] == [
        ("ada@example.org", "Ada", "Lovelace"),
        ("grace@example.org", "Grace", "Hopper"),
    ]
    assert [row.state for row in rows] == states
    assert rows[0].tags == tags
    assert rows[0].attributes.items() >= attributes.items()
    assert [row.reason for row in rejected] == (["address: it is empty"] if name == "google" else [])
    assert not {"leid", "uuid", "e_mail_type", "phonetic_first_name"} & set(source.columns.attributes)


def xlsx(path: Path, rows: list[list[str | float]], *, sheets: tuple[str, ...] = ("People",)) -> Path:
    """A workbook whose first sheets are empty and whose last has the rows."""
    names = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, 1))
    links = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        root = f'<Relationship Id="r" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
        book.writestr("_rels/.rels", f'<Relationships xmlns="{PACKAGE}/relationships">{root}</Relationships>')
        book.writestr("[Content_Types].xml", f'<Types xmlns="{PACKAGE}/content-types"/>')
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{names}</sheets></workbook>',
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>',
        )
        for n in range(1, len(sheets) + 1):
            data = "".join(map(_xlsx_row, rows)) if n == len(sheets) else ""
            book.writestr(
                f"xl/worksheets/sheet{n}.xml",
                f'<worksheet xmlns="{MAIN}"><sheetData>{data}</sheetData></worksheet>',
            )
    return path


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def _xlsx_row(cells: list[str | float]) -> str:
    return "<row>" + "".join(map(_xlsx_cell, cells)) + "</row>"


def _xlsx_cell(value: str | float) -> str:
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
    return f"<c><v>{value}</v></c>"


def ods(path: Path, rows: list[list[str]]) -> Path:
    office = "urn:oasis:names:tc:opendocument:xmlns"
    body = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>'
            for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )
    content = (
        f'<office:document-content xmlns:office="{office}:office:1.0" xmlns:table="{office}:table:1.0" '
        f'xmlns:text="{office}:text:1.0"><office:body><office:spreadsheet><table:table table:name="People">{body}'
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        book.writestr(
            "META-INF/manifest.xml",
            '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
        book.writestr("content.xml", content)
    return path


ROWS: list[list[str | float]] = [
    ["email", "score", "note"],
    ["ada@example.org", 3.0, "a\nb"],
    ["nobody", 4.5, ""],
]


def test_a_workbook(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "book.xlsx", ROWS, sheets=("Cover", "People"))
    source, rows, rejected = read(path, tmp_path)
    assert source.format == "sheet People"
    assert (rows[0].line, rows[0].attributes) == (2, {"score": 3, "note": "a\nb"})
    assert [(row.line, row.fields) for row in rejected] == [(3, ["nobody", "4.5", ""])]
    with pytest.raises(InvalidInput, match="no sheet 'Nope' in it; it has 'Cover', 'People'"):
        read(path, tmp_path, part="Nope")


def test_a_sheet_of_libreoffice(tmp_path: Path) -> None:
    path = ods(tmp_path / "book.ods", [["email", "city"], ["ada@example.org", "Łódź"]])
    _, rows, _ = read(path, tmp_path)
    assert (rows[0].email, rows[0].attributes) == ("ada@example.org", {"city": "Łódź"})


def test_a_workbook_that_is_too_large_or_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_SHEET_BYTES", 1000)
    big = xlsx(tmp_path / "big.xlsx", [["email"], *(["ada@example.org"] for _ in range(100))])
    with pytest.raises(InvalidInput, match="too much for a spreadsheet; save the sheet as CSV"):
        read(big, tmp_path)
    broken = tmp_path / "broken.xlsx"
    broken.write_bytes(big.read_bytes()[:-200])
    with pytest.raises(InvalidInput, match="damaged"):
        read(broken, tmp_path)


def archive(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return path


def test_an_archive_of_one_file(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.zip", {"__MACOSX/._x.csv": "junk", "../../etc/people.csv": CSV, "read.me": "x"}
    )
    source, rows, rejected = read(path, tmp_path)
    assert (source.format, rows[0].email, rejected[0].line) == ("../../etc/people.csv", "ada@example.org", 3)
    assert not (tmp_path.parent.parent / "etc").exists()


def test_an_archive_of_mailchimp(tmp_path: Path) -> None:
    head = "Email Address,First Name,OPTIN_TIME,LEID,EUID,TAGS\n"
    files = {
        "audience/subscribed_members_export_1.csv": head + 'a@example.org,Ann,,1,x,"""VIP"""\n',
        "audience/unsubscribed_members_export_1.csv": head.replace("TAGS", "UNSUB_TIME,TAGS")
        + "b@example.org,Bob,,2,x,,\n",
        "audience/cleaned_members_export_1.csv": head + "c@example.org,Cem,,3,x,\nbad,,,4,x,\n",
        "audience/nonsubscribed_members_export_1.csv": head + "d@example.org,Dora,,5,x,\n",
    }
    source, rows, rejected = read(archive(tmp_path / "m.zip", files), tmp_path)
    assert source.format == "Mailchimp"
    assert {row.first_name: (row.state, row.tags) for row in rows} == {
        "Ann": ("subscribed", ("VIP",)),
        "Bob": ("unsubscribed", ()),
        "Cem": ("bounced", ()),
        "Dora": ("unconfirmed", ()),
    }
    assert source.columns.attributes == {}
    assert rejected[0].line == 3
    assert rejected[0].fields[0] == "audience/cleaned_members_export_1.csv"


def test_what_is_wrong_with_an_archive(tmp_path: Path) -> None:
    path = archive(tmp_path / "two.zip", {"a.csv": CSV, "b.csv": CSV.replace("ada", "bob")})
    with pytest.raises(InvalidInput, match="holds 2 files; say which with --part: 'a"):
        read(path, tmp_path)
    _, rows, _ = read(path, tmp_path, part="b.csv")
    assert rows[0].email == "bob@example.org"
    bomb = archive(tmp_path / "bomb.zip", {"a.csv": b"email\n" + b"a@example.org\n" * 4_000_000})
    with pytest.raises(InvalidInput, match="unpacks to more than"):
        read(bomb, tmp_path)
    nested = archive(tmp_path / "nested.zip", {"a.csv": path.read_bytes()})
    with pytest.raises(InvalidInput, match="archive inside an archive"):
        read(nested, tmp_path)
    empty = archive(tmp_path / "empty.zip", {"read.me": "x"})
    with pytest.raises(InvalidInput, match="holds no CSV"):
        read(empty, tmp_path)
    many = archive(tmp_path / "many.zip", {f"{n}.csv": "x" for n in range(1001)})
    with pytest.raises(InvalidInput, match="1,001 files"):
        read(many, tmp_path)
    inside = archive(tmp_path / "inside.zip", {"people.xlsx": xlsx(tmp_path / "b.xlsx", ROWS).read_bytes()})
    assert read(inside, tmp_path)[1][0].email == "ada@example.org"


@pytest.mark.parametrize(
    ("full", "first", "last"),
    [
        ("Ada King Lovelace", "Ada King", "Lovelace"),
        ("Ludwig van Beethoven", "Ludwig", "van Beethoven"),
        ("Oscar de la Hoya", "Oscar", "de la Hoya"),
        ("Van Morrison", "Van", "Morrison"),
        ("Kim Le", "Kim", "Le"),
        ("Lovelace, Ada", "Ada", "Lovelace"),
        ("Martin Luther King, Jr.", "Martin Luther", "King Jr."),
        ("King, Martin Luther Jr.", "Martin Luther", "King Jr."),
        ("Dr. Ada Lovelace PhD", "Ada", "Lovelace PhD"),
        ("LOVELACE Ada", "Ada", "LOVELACE"),
        ("ADA LOVELACE", "ADA", "LOVELACE"),
        ("J. Smith", "J.", "Smith"),
        ("C. S. Lewis", "C. S.", "Lewis"),
        ("J.R.R. Tolkien", "J.R.R.", "Tolkien"),
        ("J.-P. BELMONDO", "J.-P.", "BELMONDO"),
        ("Ann E. Smith", "Ann E.", "Smith"),
        ("José Ortega y Gasset", "José Ortega", "y Gasset"),
        ("Anna K.", "Anna", "K."),
        ("山田 太郎", "太郎", "山田"),
        ("山田太郎", "山田太郎", ""),
        ("김철수", "철수", "김"),
        ("남궁민수", "민수", "남궁"),
        ("Madonna", "Madonna", ""),
        (",", "", ""),
        ("", "", ""),
    ],
)
def test_full_names_are_split(full: str, first: str, last: str) -> None:
    assert split_name(full) == (first, last)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("x@gmial.com", ["typo: gmail.com?"]),
        ("x@gmail.con", ["typo: gmail.com?"]),
        ("x@hotmal.com", ["typo: hotmail.com?"]),
        ("info@mail.com", ["role address"]),
        ("x@gmx.at", []),
        ("x@gmail.com", []),
        ("gmial.com@example.org", []),
    ],
)
def test_what_somebody_should_look_at(address: str, found: list[str]) -> None:
    assert hints(address) == found


@pytest.mark.parametrize(
    "cell", ["=1+1", "+49 30", "-x", "@sum", "'=1", "''", "'", "\tx", "-5", "a=b", "", "＝1"]
)
def test_formulas_are_made_harmless_and_given_back(cell: str) -> None:
    written = defused(cell)
    assert revived(written) == cell
    assert not written.startswith(("=", "+", "@", "\t", "＝"))
