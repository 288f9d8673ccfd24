"""Reading files of contacts: encodings, delimiters, headers, broken quotes. No database."""

import contextlib
import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailengine.core.errors import InvalidInput, MailengineError
from mailengine.domain.contacts.imports.encoding import guess_bytewise
from mailengine.domain.contacts.imports.records import MAX_RECORD_LINES, records
from mailengine.domain.contacts.imports.seen import SeenKeys
from mailengine.domain.contacts.imports.source import Batch, Reader, Source, understand
from support.house import NOW

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def read(source: Source, *, skip: int = 0) -> Batch:
    """All batches of a file as one."""
    reader, whole = Reader(source, now=NOW, skip_records=skip), Batch()
    while batch := reader.next_batch():
        whole.rows += batch.rows
        whole.rejected += batch.rejected
        whole.duplicates += batch.duplicates
    return whole


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "contacts.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# What csv can carry and a file of contacts may hold: no NUL, no half characters.
CELLS = st.text(st.characters(exclude_characters="\x00\ufffd", exclude_categories=("Cs",)), max_size=12)
DIALECTS = st.sampled_from([(",", "\r\n"), (";", "\n"), ("\t", "\n"), ("|", "\r\n"), (",", "\r")])
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6), DIALECTS, ENCODINGS, st.booleans())
def test_whatever_csv_can_write_comes_back_equal(
    tmp_path: Path, cells: list[tuple[str, str]], dialect: tuple[str, str], encoding: str, quote_all: bool
) -> None:
    delimiter, ending = dialect
    text = io.StringIO()
    # Before Python 3.13 the writer leaves a CR or LF unquoted that is not in its own line terminator, and then
    # csv.reader cannot read the file back either.
    quoting = csv.QUOTE_ALL if quote_all or ending != "\r\n" else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    writer.writerow(("email", "city", "note"))
    for number, (city, note) in enumerate(cells):
        writer.writerow((f"p{number}@example.org", city, note))
    path = written(tmp_path, text.getvalue().encode(encoding))
    # As texts: what looks like a number, a date or a boolean has kinds and tests of its own (attribute values).
    mapping = {"city": "city:text", "note": "note:text"}
    whole = read(understand(path, mapping=mapping, folder=tmp_path, delimiter=delimiter))
    assert whole.rejected == []
    expected = [
        {name: cell.strip() for name, cell in zip(("city", "note"), pair, strict=True) if cell.strip()}
        for pair in cells
    ]
    assert [row.attributes for row in whole.rows] == expected


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_no_bytes_crash_it(tmp_path: Path, content: bytes) -> None:
    with contextlib.suppress(MailengineError):
        read(understand(written(tmp_path, content), mapping={}, folder=tmp_path))


@given(st.lists(st.sampled_from(['a@b.org,"x"', '"', 'a,"b', 'c"d,e', "", ",", '""', 'x,"y"z'])))
def test_no_line_is_lost_or_read_twice(lines: list[str]) -> None:
    found = list(records([line + "\n" for line in lines], delimiter=","))
    starts = [record.line for record in found]
    assert starts == sorted(set(starts))
    assert all(1 <= start <= len(lines) for start in starts)
    for number, line in enumerate(lines, 1):
        if '"' not in line and line.strip(",") and number not in starts:
            assert any(start < number for start in starts), "inside a quoted field that began before"


def test_an_unclosed_quote_costs_its_row_only() -> None:
    lines = ["a,1\n", '"b,2\n', *(f"c{n},3\n" for n in range(2 * MAX_RECORD_LINES))]
    found = list(records(lines, delimiter=","))
    assert [(record.line, bool(record.problem)) for record in found[:3]] == [
        (1, False),
        (2, True),
        (3, False),
    ]
    assert len(found) == len(lines)


def test_stray_quotes_in_one_line_are_read_as_spreadsheets_do() -> None:
    (found,) = records(['x,"The "Best" Ltd",y\n'], delimiter=",")
    assert found.fields == ["x", 'The Best" Ltd"', "y"]


def test_line_numbers_are_those_of_an_editor(tmp_path: Path) -> None:
    path = written(tmp_path, 'email,note\r\na@b.org,"1\r\n2\r\n3"\r\n\r\nbad,\r\n')
    whole = read(understand(path, mapping={}, folder=tmp_path))
    assert ([row.line for row in whole.rows], [row.line for row in whole.rejected]) == ([2], [6])


@pytest.mark.parametrize(
    ("name", "encoding", "delimiter", "count"),
    [
        ("contacts.csv", "UTF-8", "comma", 973),
        ("contacts-utf16.tsv", "UTF-16", "tab", 20),
        ("contacts-windows1252-semicolon.csv", "Windows-1252", "semicolon", 20),
    ],
)
def test_the_examples_are_understood(
    tmp_path: Path, name: str, encoding: str, delimiter: str, count: int
) -> None:
    source = understand(EXAMPLES / name, mapping={}, folder=tmp_path)
    assert (source.facts.decoding.label, source.dialect.label) == (encoding, delimiter)
    assert len(read(source).rows) == count


@pytest.mark.parametrize(
    ("codec", "lines"),
    [
        ("cp1252", "Jürgen;Müller;Köln\nFrançoise;Lefèvre;Besançon\nJosé;Peña;Cádiz\nÅse;Bjørnstad;Bodø"),
        ("cp1250", "Małgorzata;Wiśniewska;Łódź\nŚwiętosława;Żak;Poznań\nJiří;Dvořák;Plzeň"),
        ("cp1251", "Иван;Петров;Москва\nОльга;Сидорова;Казань\nДмитрий;Смирнов;Екатеринбург"),
        ("cp1254", "Ayşe;Yılmaz;İstanbul\nGökhan;Çağlar;Muğla\nIşıl;Öztürk;Eskişehir"),
        ("cp932", "山田;太郎;東京\n鈴木;花子;大阪\n佐藤;次郎;名古屋"),
        ("gb18030", "王;伟;北京\n李;娜;上海\n张;敏;广州市天河区"),
    ],
)
def test_old_encodings_are_recognised(codec: str, lines: str) -> None:
    sample = (lines + "\n").encode(codec) * 5
    assert sample.decode(guess_bytewise(sample).codec) == sample.decode(codec)


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("メール,姓,名\na@b.org,佐藤,花子\n", ("email", "last_name", "first_name")),
        ("Почта;Имя;Фамилия\na@b.org;Иван;Петров\n", ("email", "first_name", "last_name")),
        ("Courriel\tPrénom\tNom\na@b.org\tZoé\tDupré\n", ("email", "first_name", "last_name")),
        ("Name,Vorname,E-Mail-Adresse\nM,J,a@b.org\n", ("last_name", "first_name", "email")),
        ("name|E-MAIL\nAnn Lee|a@b.org\n", ("full_name", "email")),
        ("a@b.org,Ann\nc@d.org,Bob\n", ("email", "column_2")),
        ("Who,Where\nAnn,a@b.org\nBob,b@b.org\n", ("who", "email")),
        ("email,Email,E-Mail\na@b.org,c@d.org,e@f.org\n", ("email", "email_", "e_mail")),
        ("sep=;\nemail;set;城市;2020 sales\na@b.org;1;2;3\n", ("email", "set_", "column_3", "x_2020_sales")),
        ("email\na@b.org\n", ("email",)),
    ],
)
def test_columns_are_guessed(tmp_path: Path, text: str, targets: tuple[str, ...]) -> None:
    source = understand(written(tmp_path, text), mapping={}, folder=tmp_path)
    assert source.columns.targets == targets
    assert read(source).rejected == []


def test_columns_are_said(tmp_path: Path) -> None:
    path = written(tmp_path, "Login,E-Mail,Extra\nx@y.org,a@b.org,1\n")
    said = {"login": "email", "E-Mail": "second", "Extra": "ignore"}
    assert understand(path, mapping=said, folder=tmp_path).columns.targets == ("email", "second", "ignore")
    for wrong, message in (
        ({"Nope": "email"}, "no column 'Nope'"),
        ({"Extra": "first name"}, "cannot name an attribute"),
        ({"Login": "email", "E-Mail": "email"}, "two columns"),
    ):
        with pytest.raises(InvalidInput, match=message):
            understand(path, mapping=wrong, folder=tmp_path)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file"):
        understand(tmp_path / "missing.csv", mapping={}, folder=tmp_path)
    with pytest.raises(InvalidInput, match="is a directory"):
        understand(tmp_path, mapping={}, folder=tmp_path)
    with pytest.raises(InvalidInput, match="zero bytes"):
        understand(written(tmp_path, b"email\n" + bytes(range(256)) * 9), mapping={}, folder=tmp_path)
    with pytest.raises(InvalidInput, match="not an encoding"):
        understand(written(tmp_path, "email\n"), mapping={}, folder=tmp_path, encoding="zip")
    with pytest.raises(InvalidInput, match="cannot be a delimiter"):
        understand(written(tmp_path, "email\n"), mapping={}, folder=tmp_path, delimiter="ab")


def test_seen_keys_agree_with_a_set() -> None:
    seen, model = SeenKeys(), set[str]()
    for number in range(100_000):
        key = f"p{number * 7919 % 60_000}@example.org"
        assert seen.add(key) == (key not in model)
        model.add(key)
