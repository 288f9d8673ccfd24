"""Exports of other programs, recognised by their headers: what their columns mean here.

Formats as they are exported in 2025: Mailchimp (audience; a ZIP of a file for each state), listmonk (subscribers),
Brevo (contacts), Mautic (contacts), Google Contacts (the old CSV and that of 2024), Outlook (Windows and
outlook.com), and our own. What only its program understands (LEID, phonetic names, a dozen empty telephones) is left
out; everything else becomes an attribute as ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailengine.domain.contacts.formulas import revived
from mailengine.domain.contacts.imports.headers import Field, normalise_header


@dataclass(frozen=True, slots=True)
class Exporter:
    """`signature`: headers that no other file has together, in normal form; `fields` and `ignored` too."""

    name: str
    signature: frozenset[str]
    fields: Mapping[str, Field] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    defused: bool = False  # apostrophes before formulas are its own (`formulas.py`)
    many_addresses: bool = False  # `a@example.org ::: b@example.org` in one cell

    @property
    def rewrites(self) -> bool:
        return self.defused or self.many_addresses

    def rewritten(self, cells: list[str], email: int) -> list[str]:
        """The cells as they were before the program wrote them."""
        if self.defused:
            return [revived(cell) for cell in cells]
        first, _, _ = cells[email].partition(" ::: ")
        return [*cells[:email], first, *cells[email + 1 :]]

    def field_of(self, header: str) -> Field | None:
        """None: as in any other file."""
        plain = normalise_header(header)
        return Field.IGNORE if plain in self.ignored else self.fields.get(plain)


def _headers(text: str) -> frozenset[str]:
    return frozenset(normalise_header(word) for word in text.split(","))


_OUTLOOK_IGNORED = _headers(
    """
    initials, given yomi, surname yomi, given name yomi, family name yomi, company yomi, e-mail type,
    e-mail 2 type, e-mail 3 type, e-mail display name, e-mail 2 display name, e-mail 3 display name,
    e-mail 2 address, e-mail 3 address, assistant's phone, assistant's name, business fax, callback, car
    phone, company main phone, home fax, isdn, other fax, other phone, pager, primary phone, radio phone,
    tty/tdd phone, telex, account, billing information, directory server, government id number, hobby,
    internet free busy, keywords, location, manager's name, mileage, organizational id number, po box,
    business address po box, home address po box, other address po box, priority, private, profession,
    referred by, sensitivity, show, schools, user 1, user 2, user 3, user 4, business street 2, business
    street 3, home street 2, home street 3, other street, other street 2, other street 3, other city,
    other state, other postal code, other country, other country/region, business phone 2, home phone 2,
    personal web page, suffix, middle name, children, spouse
    """
)
_GOOGLE_IGNORED = _headers(
    """
    phonetic first name, phonetic middle name, phonetic last name, given name yomi, additional name yomi,
    family name yomi, name yomi, name prefix, name suffix, initials, file as, photo, short name, maiden
    name, middle name, additional name, location, billing information, directory server, mileage, hobby,
    sensitivity, priority, subject, name, e-mail 1 - label, e-mail 1 - type, e-mail 2 - label, e-mail 2 -
    type, e-mail 3 - label, e-mail 3 - type, phone 1 - label, phone 1 - type, address 1 - label, address
    1 - type, website 1 - label, website 1 - type, organization 1 - type, organization 1 - yomi name
    """
)
_GOOGLE = {
    normalise_header("E-mail 1 - Value"): Field.EMAIL,
    normalise_header("Given Name"): Field.FIRST_NAME,
    normalise_header("Family Name"): Field.LAST_NAME,
    normalise_header("Labels"): Field.TAGS,
    normalise_header("Group Membership"): Field.TAGS,
}
EXPORTERS: Sequence[Exporter] = (
    Exporter(
        "mailengine",
        _headers(
            "email, first_name, last_name, contact_state, tags, lists, consent_source, consent_at, consent_ip"
        ),
        ignored=_headers("lists, created_at, updated_at"),
        defused=True,
    ),
    Exporter(
        "Mailchimp",
        _headers("leid, euid, optin_time"),
        {
            "confirmtime": Field.CONSENT_AT,
            "confirmip": Field.CONSENT_IP,
            "unsubtime": Field.UNSUBSCRIBED,
            "cleantime": Field.BOUNCED,
            "cleanedtime": Field.BOUNCED,
        },
        _headers(
            "import_file, member_rating, optin_time, optin_ip, latitude, longitude, gmtoff, dstoff, last_changed, "
            "leid, euid, unsub_campaign_title, unsub_campaign_id, unsub_reason, unsub_reason_other, "
            "clean_campaign_title, clean_campaign_id"
        ),
    ),
    Exporter(
        "listmonk",
        _headers("uuid, email, name, attributes, status, created_at, updated_at"),
        {"status": Field.CONTACT_STATE, "name": Field.FULL_NAME},
        _headers("uuid, created_at, updated_at"),
    ),
    Exporter(
        "Brevo",
        _headers("email, added_time, modified_time"),
        {
            "blacklist": Field.UNSUBSCRIBED,
            "emailblacklist": Field.UNSUBSCRIBED,
            "emailmarketing": Field.CONTACT_STATE,
            "nom": Field.LAST_NAME,
            "prenom": Field.FIRST_NAME,
        },
        _headers(
            "contact id, modified_time, listids, list ids, smsblacklisted, sms_blacklisted, sms_marketing"
        ),
    ),
    Exporter(
        "Mautic",
        _headers("firstname, lastname, email, points, attribution"),
        {"dnc": Field.UNSUBSCRIBED},
        _headers(
            "id, attribution, attribution_date, ispublished, owner, owner_id, preferred_locale, "
            "preferred_profile_image, date_identified, dateidentified, date_added, dateadded, date_modified, "
            "datemodified, last_active, lastactive, stage, stage_id, created_by, createdby, modified_by, modifiedby"
        ),
    ),
    Exporter(
        "Google",
        _headers("e-mail 1 - value, e-mail 1 - label"),
        _GOOGLE,
        _GOOGLE_IGNORED,
        many_addresses=True,
    ),
    Exporter(
        "Google",
        _headers("e-mail 1 - value, e-mail 1 - type"),
        _GOOGLE,
        _GOOGLE_IGNORED,
        many_addresses=True,
    ),
    Exporter(
        "Outlook",
        _headers("first name, last name, e-mail address, e-mail 2 address, business phone"),
        {"categories": Field.TAGS},
        _OUTLOOK_IGNORED,
    ),
)
_PLAIN = Exporter("", frozenset())


def recognise(headers: Sequence[str]) -> Exporter:
    """The program that wrote a file; one without a name where nothing tells."""
    known = set(map(normalise_header, headers))
    return next((exporter for exporter in EXPORTERS if exporter.signature <= known), _PLAIN)
