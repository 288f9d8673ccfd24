"""Writes the example contact files beside itself (or into the directory given): always the same bytes.

contacts.csv: 1,000 records, of which 12 are bad and 15 repeat an address, on purpose. Names, companies and
addresses are made up; every domain is reserved (RFC 2606, RFC 6761), so that no mail can reach a person.
"""

# ruff: noqa: E501 - the table of names has a country a line

import csv
import io
import random
import sys
import unicodedata
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

RECORDS, BAD, DUPLICATES = 1000, 12, 15
HEADER = [
    "email",
    "first_name",
    "last_name",
    "country",
    "city",
    "language",
    "plan",
    "signed_up",
    "company",
    "consent_source",
    "consent_date",
]
FIRST_DAY, DAYS = date(2019, 3, 1), 2760

# country language weight | cities | first names | last names; "native=roman" where the script is not Latin.
PEOPLE = """
DE de 9|Berlin,Hamburg,München,Köln,Würzburg,Lübeck|Anna,Jürgen,Käthe,Lukas,Björn,Sören,Ursula,Jörg|Müller,Schäfer,Weiß,Groß,Köhler,Krämer,Vogel
AT de 3|Wien,Graz,Sankt Pölten|Franz,Annelies,Günther,Sophie,Vroni|Gruber,Pichler,Mößmer,Österreicher
CH fr 2|Genève,Zürich,Neuchâtel|Noé,Léa,Urs,Chloé|Favre,Bär,Rüegg,Zbinden
FR fr 8|Paris,Orléans,Besançon,Nîmes,Saint-Étienne|François,Zoé,Hélène,Jérôme,Anaïs,Loïc,Maëlle|Lefèvre,Dupré,Garçon,Bézier,L’Hôte,Noël
ES es 6|Madrid,Málaga,A Coruña,Cádiz|José,Begoña,Íñigo,Lucía,María José,Ángel|Núñez,García Márquez,Peña,Ibáñez,Güell
MX es 4|Ciudad de México,Mérida,Querétaro|Ximena,Joaquín,Guadalupe,Raúl|Hernández,Ordóñez,Zúñiga,Treviño
BR pt 5|São Paulo,Brasília,Goiânia|João,Conceição,Luís,Márcia,Antônio|Gonçalves,Araújo,Simões,Falcão
PT pt 3|Lisboa,Évora,Setúbal|Inês,Tomás,Fátima,Simão|Magalhães,Brandão,Patrício
IT it 5|Roma,Forlì,Milano,Aosta|Nicolò,Giulia,Desirée,Matteo,Niccolò|Rossi,D’Angelo,Dell’Orto,Cantù,Conti
PL pl 5|Łódź,Kraków,Wrocław,Gdańsk|Łukasz,Małgorzata,Świętosława,Zbigniew,Grażyna|Wójcik,Żak,Kowalczyk,Śliwa,Dąbrowska
CZ cs 3|Praha,Plzeň,Ústí nad Labem|Jiří,Štěpánka,Ondřej,Zdeněk|Dvořák,Růžičková,Černý,Němec
HU hu 2|Győr,Pécs,Székesfehérvár|Zsófia,György,Ödön,Réka|Szűcs,Kőszegi,Tóth,Nagy
RO ro 2|Iași,Timișoara,București|Ștefan,Ioana,Ștefania,Mădălina|Popescu,Țîrlea,Bălan
SE sv 3|Malmö,Göteborg,Örebro|Åsa,Göran,Linnéa,Märta|Öberg,Sjögren,Ångström
DK da 2|Århus,København,Ærøskøbing|Søren,Kåre,Mette,Bjørk|Sørensen,Ågård,Kjær
NO nb 2|Tromsø,Oslo,Bodø|Øystein,Håkon,Marit,Åse|Bjørnstad,Løvland,Sæther
IS is 1|Reykjavík,Ísafjörður|Þóra,Guðrún,Æsa,Björk|Jónsdóttir,Þorsteinsson
TR tr 4|İstanbul,Eskişehir,Muğla|Işıl,Çağrı,Gökçe,İbrahim,Şule|Yıldız,Öztürk,Çelik,Güneş
VN vi 3|Hà Nội,Đà Nẵng,Huế|Thị Hương,Đức,Quỳnh,Phượng|Nguyễn,Trần,Đặng,Phạm
GB en 7|London,Leeds,Stoke-on-Trent,Cardiff|Siân,Oliver,Amelia,Hamish,Zoë,Priya|Smith,Okonkwo,Brontë,Lloyd-Jones,O’Hara
IE ga 2|Baile Átha Cliath,Cork,Dún Laoghaire|Aoife,Seán,Róisín,Ciarán|Ó Briain,Ní Mhurchú,Walsh
US en 8|New York,Portland,San José,Honolulu|Jordan,Mary Ann,Chloe,Malik,DeShawn,Renée|Johnson,Nguyen,Peña,Kahananui,St. John,Weiß
NG en 3|Lagos,Ibadan,Abuja|Ọlá,Chinedu,Títílayọ̀,Ngozi|Adéyẹmí,Okafor,Eze
RU ru 4|Москва,Казань,Тверь|Алексей=Aleksey,Ольга=Olga,Фёдор=Fyodor,Юлия=Yuliya|Щербаков=Shcherbakov,Иванова=Ivanova,Ёлкин=Yolkin
UA uk 4|Київ,Львів,Чернівці|Євгенія=Yevheniia,Оксана=Oksana,Їржі=Yirzhi,Тарас=Taras|Ґалаґан=Galagan,Шевченко=Shevchenko,Біленький=Bilenkyi
BG bg 2|София,Пловдив|Цветан=Tsvetan,Мария=Maria,Йордан=Yordan|Желязков=Zhelyazkov,Стоянова=Stoyanova
GR el 4|Αθήνα,Θεσσαλονίκη,Ηράκλειο|Γιώργος=Giorgos,Ελένη=Eleni,Αθηνά=Athina,Νίκος=Nikos|Παπαδόπουλος=Papadopoulos,Ζωγράφου=Zografou
JP ja 5|東京,大阪,札幌|さくら=Sakura,健太=Kenta,花子=Hanako,雄一=Yuichi,ケン=Ken|佐藤=Sato,髙橋=Takahashi,渡邉=Watanabe,山﨑=Yamazaki
KR ko 4|서울,부산,제주|민준=Minjun,서연=Seoyeon,지훈=Jihoon|김=Kim,이=Lee,박=Park,최=Choi
CN zh 4|北京,上海,成都|伟=Wei,秀英=Xiuying,小明=Xiaoming,芳=Fang|王=Wang,李=Li,张=Zhang,欧阳=Ouyang
TW zh 2|臺北,高雄|怡君=Yijun,志明=Zhiming,淑芬=Shufen|陳=Chen,林=Lin,黃=Huang
IN hi 5|दिल्ली,मुंबई,वाराणसी|प्रिया=Priya,अर्जुन=Arjun,लक्ष्मी=Lakshmi,श्रीकांत=Shrikant|शर्मा=Sharma,गुप्ता=Gupta,त्रिपाठी=Tripathi
EG ar 4|القاهرة,الإسكندرية|محمد=Mohamed,فاطمة=Fatma,آلاء=Alaa,يوسف=Youssef|عبد الرحمن=Abdelrahman,حسن=Hassan,المصري=Elmasry
AE ar 2|دبي,أبوظبي|مريم=Maryam,خالد=Khalid,نورة=Noura|المنصوري=Almansoori,الهاشمي=Alhashimi
IL he 3|תל אביב-יפו,ירושלים,חיפה|נועה=Noa,יוסי=Yossi,שירה=Shira,דוד=David|כהן=Cohen,לוי=Levi,בן־דוד=Bendavid
TH th 1|กรุงเทพฯ,เชียงใหม่|สมชาย=Somchai,มาลี=Malee|ใจดี=Jaidee,ศรีสุข=Srisuk
"""
DOMAINS = "example.org example.com example.net mail.example post.example inbox.test studio.example"
IDN_DOMAINS = """bücher.example café-lumière.example почта.example παράδειγμα.example 例え.example 예시.example
例子.example उदाहरण.example مثال.example דוגמה.example łąka.example straße.test"""
# Where a company is at home; "*" is anywhere, and most people give none.
COMPANIES = (
    *(("*", ""),) * 8,
    ("DE AT", "Nordlicht GmbH"),
    ("DE AT CH", "Müller, Söhne & Partner OHG"),
    ("DE", 'Bäckerei "Zum goldenen Löffel"'),
    ("FR CH", "Atelier Lumière"),
    ("GB IE", "O’Hara & Daughters, Ltd."),
    ("GB IE US NG", "Harbour House\nUnit 4, Dock Road"),
    ("PL", "Kowalski sp. z o.o."),
    ("JP", "株式会社さくら"),
    ("RU BG UA", "ООО «Ромашка»"),
    ("PT BR", "Agência Céu Azul"),
    ("EG AE", "مؤسسة النور"),
    ("KR", "(주)한빛"),
    ("*", "Example Widgets, Inc."),
    ("*", 'The "Quoted" Company, LLC'),
    ("*", "+1 Studio"),
    ("*", "=Equals Analytics"),
)
SOURCES = ["sign-up form", "shop checkout", "trade fair", "webinar", "paper form", "referral"]
PLANS = ["free", "free", "free", "free", "free", "free", "pro", "pro", "pro", "team"]
SMTPUTF8 = (
    ("josé.núñez@correo.example", "José", "Núñez", "ES", "Cádiz", "es"),
    ("用户@例子.example", "伟", "李", "CN", "上海", "zh"),
)
# Why it is bad | address, first name, last name, country, city, language; the last three have a bad number of columns.
BAD_ROWS = """
no @|anna.schmidt.example.org,Anna,Schmidt,DE,Leipzig,de
two dots in the local part|kofi..mensah@example.com,Kofi,Mensah,GH,Accra,en
blank|,志明,林,TW,臺北,zh
a space inside|maria lopez@example.net,María,López,ES,Vigo,es
a space inside the domain|hello@exam ple.org,Marc,Roux,FR,Lyon,fr
no domain|peter@,Peter,Novák,CZ,Brno,cs
two dots in the domain|olga@example..net,Ольга,Иванова,RU,Пермь,ru
an IDN label with hyphens at its ends|kontakt@-bücher-.example,Ute,Buchholz,DE,Mainz,de
an IDN label that decodes to nothing|info@xn--zzzzzz99999.example,Li,Zhou,CN,北京,zh
a comma that nobody quoted|ines.brandao@example.org,Inês,Brandão,PT,Évora,pt
a comma that nobody quoted|oliver.smith@example.com,Oliver,Smith,GB,Leeds,en
cut off|sakura.sato@example.net,さくら,佐藤,JP,東京,ja
"""
# ß and its like have no decomposition that would give ASCII.
ROMAN = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "ß": "ss",
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ı": "i",
        "æ": "ae",
        "ð": "d",
        "þ": "th",
    }
)
Row = list[str]


def roman(name: str) -> str:
    """What people put before the @: lower-case ASCII."""
    plain = unicodedata.normalize("NFC", name.lower()).translate(ROMAN)
    letters = unicodedata.normalize("NFKD", plain)
    return "".join(letter for letter in letters if letter.isascii() and letter.isalnum())


def people() -> list[tuple[int, tuple[str, str], list[list[str]]]]:
    lines = [line.split("|") for line in PEOPLE.strip().splitlines()]
    heads = [head.split() for head, *_ in lines]
    return [
        (int(weight), (country, language), [part.split(",") for part in rest])
        for (country, language, weight), (_, *rest) in zip(heads, lines, strict=True)
    ]


class Maker:
    """Draws rows from one seeded generator, never the same address twice."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - example data must be the same every time
        self.people = people()
        self.weights = [weight for weight, *_ in self.people]
        self.taken: set[str] = set()

    def person(self, idn: bool = False) -> Row:
        _, (country, language), (cities, firsts, lasts) = self.random.choices(self.people, self.weights)[0]
        first, first_roman = self.name(firsts)
        last, last_roman = self.name(lasts)
        domain = self.random.choice((IDN_DOMAINS if idn else DOMAINS).split())
        email = self.address(first_roman, last_roman, domain)
        blank = self.random.random()
        return self.row(
            email,
            "" if blank < 0.05 else first,
            "" if blank < 0.02 else last,
            country,
            "" if blank > 0.92 else self.random.choice(cities),
            language,
        )

    def name(self, names: list[str]) -> tuple[str, str]:
        native, _, latin = self.random.choice(names).partition("=")
        return native, roman(latin or native)

    def address(self, first: str, last: str, domain: str) -> str:
        form = self.random.choice(
            ["{f}.{l}", "{f}.{l}", "{i}{l}", "{f}_{l}", "{f}+news", "{l}.{f}", "{f}-{l}"]
        )
        local = form.format(f=first, l=last, i=first[0])
        while f"{local}@{domain}" in self.taken:
            local += str(self.random.randrange(2, 99))
        self.taken.add(f"{local}@{domain}")
        return f"{local}@{domain}"

    def row(self, email: str, first: str, last: str, country: str, city: str, language: str) -> Row:
        signed_up = FIRST_DAY + timedelta(days=self.random.randrange(DAYS))
        consent = signed_up + timedelta(days=self.random.choice([0, 0, 0, 1, 2, 30]))
        draw = self.random.choice
        company = draw([name for countries, name in COMPANIES if countries == "*" or country in countries])
        account = [draw(PLANS), signed_up.isoformat(), company, draw(SOURCES), consent.isoformat()]
        return [email, first, last, country, city, language, *account]

    def bad(self) -> Iterator[Row]:
        for line in BAD_ROWS.strip().splitlines():
            reason, _, person = line.partition("|")
            row = self.row(*person.split(","))
            if reason.startswith("a comma"):
                row[8:9] = ["Berg", " Sohn & Co."]
            elif reason == "cut off":
                del row[5:]
            yield row

    def duplicates(self, good: list[Row]) -> Iterator[tuple[int, Row]]:
        """Fifteen rows of people who are there already, and the index after which each must stand."""
        plain = [n for n, row in enumerate(good[:800]) if row[0].isascii()]
        foreign = [n for n, row in enumerate(good[:800]) if not row[0].isascii() and row[0][0].isascii()]
        composed = [n for n in foreign if good[n][0] != unicodedata.normalize("NFD", good[n][0])]
        picked = self.random.sample(plain, 10)
        changes = [*[(n, None) for n in picked[:5]], *[(n, shouted) for n in picked[5:]]]
        changes += [(n, punycode) for n in self.random.sample(foreign, 3)]
        changes += [(n, decomposed) for n in self.random.sample(composed, 2)]
        for index, change in changes:
            row = list(good[index])
            if change is not None:
                row[0], row[6], row[7] = change(row[0]), "pro", "2026-09-30"
            yield index, row


def shouted(email: str) -> str:
    local, domain = email.split("@")
    return f"{local.title()}@{domain.upper()}"


def punycode(email: str) -> str:
    local, domain = email.split("@")
    labels = [
        label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}"
        for label in domain.split(".")
    ]
    return f"{local}@{'.'.join(labels)}"


def decomposed(email: str) -> str:
    return unicodedata.normalize("NFD", email)


def contacts() -> list[Row]:
    maker = Maker(seed=20261122)
    idn, unusual = 26, len(SMTPUTF8)
    good = [maker.person() for _ in range(RECORDS - BAD - DUPLICATES - idn - unusual)]
    good += [maker.person(idn=True) for _ in range(idn)]
    good += [maker.row(*person) for person in SMTPUTF8]
    maker.random.shuffle(good)
    # From the end of the file, so that the places that are still to be used do not move.
    repeats = sorted(maker.duplicates(good), key=lambda pair: pair[0], reverse=True)
    for index, row in repeats:
        good.insert(maker.random.randrange(index + 1, len(good) + 1), row)
    for row in maker.bad():
        good.insert(maker.random.randrange(5, len(good)), row)
    return good


def small(seed: int, encoding: str) -> list[Row]:
    """Twenty people whose names that encoding can write."""
    maker, rows = Maker(seed), list[Row]()
    while len(rows) < 20:
        row = maker.person()
        text = " ".join(row)
        if row[1] and row[4] and text.encode(encoding, "ignore").decode(encoding) == text:
            rows.append(row)
    return rows


def table(rows: list[Row], delimiter: str = ",", line_end: str = "\n") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=line_end).writerows(rows)
    return text.getvalue()


def files() -> dict[str, bytes]:
    """File name → content."""
    german = ["E-Mail", "Vorname", "Nachname", "Land", "Ort", "Firma"]
    excel = [german, *[[*row[:5], row[8]] for row in small(seed=1252, encoding="cp1252")]]
    excel[1][5] = "Crêperie “Œuf d’or” – Brême; 5 €"  # what windows-1252 has beyond ISO 8859-1
    english = ["Email", "First Name", "Last Name", "Country", "City"]
    unicode_text = [english, *[row[:5] for row in small(seed=16, encoding="utf-16")]]
    return {
        "contacts.csv": table([HEADER, *contacts()]).encode(),
        "contacts-windows1252-semicolon.csv": table(excel, ";", "\r\n").encode("cp1252"),
        "contacts-utf16.tsv": b"\xff\xfe" + table(unicode_text, "\t", "\r\n").encode("utf-16-le"),
    }


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    for name, content in files().items():
        (target / name).write_bytes(content)


if __name__ == "__main__":
    main()
