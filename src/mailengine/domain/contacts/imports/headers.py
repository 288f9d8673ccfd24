"""What people call the columns of an address book, in the languages of those who keep one.

Words are compared without case, accents' composition, spaces and punctuation (`normalise_header`).
"""

# ruff: noqa: E501 - tables of words

import re
import unicodedata
from enum import StrEnum


class Field(StrEnum):
    """The columns that are no attributes."""

    EMAIL = "email"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    FULL_NAME = "full_name"
    CONSENT_SOURCE = "consent_source"
    CONSENT_AT = "consent_at"
    CONSENT_IP = "consent_ip"
    TAGS = "tags"
    CONTACT_STATE = "contact_state"  # subscribed, unsubscribed, bounced … (`parse_state`)
    SUBSCRIBED = "subscribed"  # a no: they left, an empty cell: they never agreed (`parse_subscribed`)
    UNSUBSCRIBED = "unsubscribed"  # a cell that is not empty or no: they left
    BOUNCED = "bounced"
    IGNORE = "ignore"


FIELDS = frozenset(field.value for field in Field)
# What several columns may be: each of them can tell that somebody left.
SEVERAL = frozenset({Field.CONTACT_STATE, Field.SUBSCRIBED, Field.UNSUBSCRIBED, Field.BOUNCED, Field.IGNORE})


_WORDS: dict[Field, str] = {
    Field.EMAIL: """
        email, e-mail, mail, email address, e-mail address, emailaddress, mail address, address email, contact email,
        primary email, email 1, e-mail 1 value, subscriber email, user email, work email, your email,
        E-Mail-Adresse, Mailadresse, Mail-Adresse, Emailadresse, elektronische Post,
        courriel, adresse courriel, adresse e-mail, adresse email, adresse mail, adresse électronique, mél,
        correo, correo electrónico, correo electronico, dirección de correo, email de contacto,
        e-mailadres, mailadres, emailadres, posta, posta elettronica, indirizzo email, indirizzo e-mail,
        e-mel, endereço de email, endereço de e-mail, correio eletrónico, correio eletrônico,
        e-postadress, epost, e-post, e-postadresse, epostadresse, sähköposti, sähköpostiosoite, tölvupóstur,
        adres e-mail, adres email, poczta, e-mailová adresa, emailová adresa, e-mail cím, email cím, elektronická pošta,
        adresă de email, e-posta, eposta, e-posta adresi, el. paštas, e-pasts, e-pošta, imejl,
        почта, эл. почта, электронная почта, емейл, имейл, мейл, е-мейл, пошта, електронна пошта, електронна поща, е-пошта,
        ηλεκτρονικό ταχυδρομείο, διεύθυνση email, أيميل, ايميل, البريد الإلكتروني, البريد الالكتروني, דוא״ל, דואר אלקטרוני, אימייל, ایمیل,
        メール, メールアドレス, eメール, 電子メール, 邮箱, 电子邮箱, 电子邮件, 邮件地址, 郵箱, 電子郵件, 電子信箱, 信箱,
        이메일, 메일, 전자우편, 이메일 주소, ईमेल, ई-मेल, อีเมล, thư điện tử, địa chỉ email
    """,
    Field.FIRST_NAME: """
        first name, firstname, given name, givenname, fname, forename, first, christian name, name first,
        Vorname, Rufname, prénom, prenom, nombre, nombre de pila, primer nombre, voornaam, roepnaam, nome, primeiro nome,
        nome próprio, förnamn, fornavn, fornafn, etunimi, imię, imie, jméno, krstné jméno, křestní jméno, meno, keresztnév, utónév,
        prenume, ad, adı, isim, ime, имя, ім'я, име, όνομα, الاسم الأول, שם פרטי, نام,
        名, 名前, 名字, 이름, पहला नाम, ชื่อ, tên, eesnimi, vardas, vārds
    """,
    Field.LAST_NAME: """
        last name, lastname, surname, family name, familyname, lname, last, name last,
        Nachname, Familienname, Zuname, nom, nom de famille, apellido, apellidos, primer apellido, achternaam, familienaam,
        cognome, apelido, sobrenome, último nome, efternamn, efternavn, etternavn, eftirnafn, sukunimi,
        nazwisko, příjmení, prijmeni, priezvisko, vezetéknév, családnév, nume, nume de familie, soyad, soyadı, soyisim, prezime, priimek,
        фамилия, прізвище, επώνυμο, επίθετο, اسم العائلة, שם משפחה, نام خانوادگی,
        姓, 苗字, 名字 (姓), 성, उपनाम, นามสกุล, họ, perekonnanimi, pavardė, uzvārds
    """,
    Field.FULL_NAME: """
        name, full name, fullname, contact name, display name, contact, your name, subscriber name, person,
        vollständiger Name, Vor- und Nachname, Ansprechpartner, nom complet, nom et prénom, nombre completo, nombre y apellidos,
        volledige naam, naam, nome completo, nome e cognome, fullständigt namn, namn, navn, fulde navn, nafn, koko nimi, nimi,
        imię i nazwisko, celé jméno, jméno a příjmení, teljes név, név, nume complet, ad soyad, adı soyadı, ime i prezime,
        полное имя, фио, повне ім'я, піб, ονοματεπώνυμο, الاسم, الاسم الكامل, שם, שם מלא, نام کامل,
        氏名, お名前, 姓名, 성명, पूरा नाम, नाम, ชื่อ-นามสกุล, họ và tên, họ tên
    """,
    Field.CONSENT_SOURCE: "consent source, opt-in source, signup source, subscription source",
    Field.CONSENT_AT: "consent date, consent at, consent time, opt-in time, opt-in date, optin date, opted in at",
    Field.CONSENT_IP: "consent ip, opt-in ip, signup ip, confirm ip",
    Field.TAGS: "tags, tag, contact tags, Schlagwörter, Schlagworte, étiquettes, etiquetas, etichette, теги, タグ, 标签",
    Field.CONTACT_STATE: "contact state, contact status, subscription status, subscriber status, email status, email marketing status",
    Field.UNSUBSCRIBED: """
        unsubscribed, unsubscribed at, unsub time, opted out, email opt out, opt out, optout, blacklisted, blocklisted,
        email blacklisted, has opted out of email, do not contact, donotcontact, do not email, do not mail, unsubscribe date,
        unsubscribe time, unsubscribed date, opt-out date, opted out at, abgemeldet, abgemeldet am, Abmeldedatum, ausgetragen, désinscrit,
        désabonné, date de désinscription, dado de baja, baja, fecha de baja, disiscritto, data disiscrizione, uitgeschreven, afgemeld,
        descadastrado, desinscrito, avregistrerad, avprenumererad, afmeldt, avmeldt, wypisany, odhlášen, odhlásený, leiratkozott, dezabonat,
        отписан, отписался, дата отписки, відписаний, διαγραμμένος, 配信停止, 購読解除, 退订, 已退订, 退訂, 수신거부
    """,
    Field.BOUNCED: "bounced, hard bounced, bounced at, clean time",
    # What an errors file has before the columns of the original: it can be mended and imported again.
    Field.IGNORE: "import_line, import_reason",
}


def normalise_header(header: str) -> str:
    """`E-Mail  Address:` and `email_address` alike."""
    folded = unicodedata.normalize("NFKC", header).casefold()
    return re.sub(r"[\W_]+", "", folded)


KNOWN: dict[str, Field] = {}
for _field, _words in _WORDS.items():
    for _word in _words.split(","):
        KNOWN.setdefault(normalise_header(_word), _field)


def field_of(header: str) -> Field | None:
    return KNOWN.get(normalise_header(header))
