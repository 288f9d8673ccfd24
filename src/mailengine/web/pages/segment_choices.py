"""What the builder of segments offers: fields by subject, the comparisons that suit each, menus of values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.campaigns.campaigns import list_campaigns
from mailengine.domain.contacts import lists, tags
from mailengine.domain.contacts.attributes import attribute_labels
from mailengine.domain.contacts.segments.check import OPERATORS_OF, kind_of
from mailengine.domain.contacts.segments.names import Names
from mailengine.domain.contacts.segments.rules import OPERATORS, field_name
from mailengine.models import ContactList, ContactState, Tag
from mailengine.web.pages.segment_draft import EVERYONE, NOT, Condition

Option = tuple[str, str]
MOST = PageRequest(limit=1000)  # in a menu; where there are more, the name is typed

FIELDS: tuple[tuple[str, tuple[Option, ...]], ...] = (
    (
        "Contact",
        (
            ("email", "E-mail address"),
            ("domain", "Domain of the address"),
            ("first_name", "First name"),
            ("last_name", "Last name"),
            ("state", "State"),
            ("created_at", "Added"),
        ),
    ),
    ("Lists and tags", (("list", "List"), ("tag", "Tag"))),
    ("Consent", (("consent_source", "Source of consent"), ("consent_at", "Date of consent"))),
)
DEEDS: tuple[Option, ...] = (
    ("received", "Received a campaign"),
    ("opened", "Opened a campaign"),
    ("clicked", "Clicked in a campaign"),
    ("bounced", "Bounced from a campaign"),
)
WORDS = {
    "=": "is", "not =": "is not", "in": "is one of", "not in": "is none of", "contains": "contains",
    "not contains": "does not contain", "starts": "starts with", "not starts": "does not start with",
    "ends": "ends with", "not ends": "does not end with", "empty": "is empty", "not empty": "is not empty",
    "<": "is less than", "<=": "is at most", ">": "is more than", ">=": "is at least",
    "within": "is in the last … days", "not within": "is not in the last … days",
    "did": "yes", "not did": "no",
}  # fmt: skip
OF_DATES = {"<": "is before", "<=": "is on or before", ">": "is after", ">=": "is on or after"}
OF_LISTS = {
    "contains": "holds",
    "not contains": "does not hold",
    "in": "holds one of",
    "not in": "holds none of",
}
OF_SETS = {"empty": "is on none at all", "not empty": "is on any"}
ORDER = ("<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Choices:
    """`names` is what the tenant has; menus are (value, label)."""

    names: Names
    fields: Sequence[tuple[str, Sequence[Option]]]
    lists: Sequence[str]
    tags: Sequence[str]
    campaigns: Sequence[str]

    def kind(self, line: Condition) -> str:
        """What a value of this line looks like; a field that is not there any more is compared like a text."""
        if line.is_act or line.about == EVERYONE:
            return "deed" if line.is_act else EVERYONE
        return kind_of(field_name(line.about), self.names) or "text"

    def operators(self, line: Condition) -> list[Option]:
        """The comparisons that suit the field, and the one that is there in any case."""
        kind = self.kind(line)
        if kind in ("deed", EVERYONE):
            return [("did", WORDS["did"]), ("not did", WORDS["not did"])]
        found: list[str] = []
        for op in OPERATORS:
            if op in OPERATORS_OF[kind]:
                found += [op] if op in ORDER else [op, NOT + op]
        if line.op not in found and line.plain_op in OPERATORS:
            found.append(line.op)
        return [(op, self._word(op, kind)) for op in found]

    def values(self, line: Condition) -> Sequence[Option]:
        """Where there are few: a menu of them, with the one that was there."""
        known: Sequence[str] = ()
        match self.kind(line):
            case "boolean":
                return (("true", "Yes"), ("false", "No"))
            case "state":
                return [(state.value, state.value.capitalize()) for state in ContactState]
            case "set":
                known = self.tags if line.about == "tag" else self.lists
        gone = [each for each in line.values if known and each not in known]
        return [(each, each) for each in (*gone, *known)]

    def campaigns_of(self, line: Condition) -> Sequence[Option]:
        gone = [line.campaign] if line.campaign and line.campaign not in self.campaigns else []
        return [(each, each) for each in (*gone, *self.campaigns)]

    def fields_with(self, line: Condition) -> Sequence[tuple[str, Sequence[Option]]]:
        """All fields; one that is not there any more stands apart, so that it can be seen what is wrong."""
        if not line.about or any(line.about == value for _title, part in self.fields for value, _ in part):
            return self.fields
        label = "Everyone" if line.about == EVERYONE else line.about
        return [*self.fields, ("Other", ((line.about, label),))]

    @staticmethod
    def _word(op: str, kind: str) -> str:
        special: Mapping[str, Mapping[str, str]] = {
            "date": OF_DATES, "time": OF_DATES, "list": OF_LISTS, "set": OF_SETS,
        }  # fmt: skip
        word = WORDS.get(op, op)
        return special.get(kind, {}).get(op, word)


async def choices(tx: ReadTx, scope: Scope, names: Names) -> Choices:
    """What this tenant can choose from."""
    labels = await attribute_labels(tx, scope)
    own = [(field_name(f"attribute.{name}"), label or name) for name, label in labels.items()]
    fields = [*FIELDS, *([("Attributes", tuple(own))] if own else []), ("Behaviour", DEEDS)]
    return Choices(
        names,
        fields,
        _names(await lists.list_lists(tx, scope, page=MOST)),
        _names(await tags.list_tags(tx, scope, page=MOST)),
        [each.name for each in (await list_campaigns(tx, scope, request=MOST)).items],
    )


def _names(found: Page[ContactList] | Page[Tag]) -> Sequence[str]:
    """For a menu; nothing where it would not hold all of them."""
    return [] if found.next else [each.name for each in found.items]
