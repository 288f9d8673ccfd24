"""One contact: what is known of them, adding, changing, leaving, deleting and bringing back."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import NotFound
from mailengine.core.ids import ContactId, ListId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.contacts import (
    attributes,
    consents,
    contacts,
    editing,
    hygiene,
    lists,
    states,
    suppression,
    tags,
)
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.delivery import reengagement
from mailengine.domain.reports.names import names_of
from mailengine.domain.reports.timeline import timeline
from mailengine.models import Contact
from mailengine.web.forms import Form
from mailengine.web.pages.choices import Kind, menu
from mailengine.web.pages.contacts import PATH
from mailengine.web.pages.frame import UserRequest, done, form_page, page
from mailengine.web.pages.listing import params_of
from mailengine.web.site import Site

TIMELINE_ROWS = 25
ATTRIBUTE = "attribute-"  # before an attribute's name, so that none is taken for a field of ours


@get("/contacts/new")
async def new(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """An empty form."""
    return await _show_form(site, request, Form(), None)


@post("/contacts/new")
async def create(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Add a contact by hand; who adds them says how they agreed."""
    scope, form = request.auth.scope, await Form.of(request)
    with form.checking("consent_source"):
        if not form.text("consent_source"):
            form.reject("consent_source", "say how they agreed to be written to")
    with form.checking("list"):
        if form.text("list"):
            async with site.rt.db.read(scope) as read:
                await lists.get_list(read, scope, name=form.text("list"))
    with form.checking("email"):
        wanted = contacts.check_contact(
            form.text("email"),
            first_name=form.text("first_name"),
            last_name=form.text("last_name"),
            attributes_given=await _attributes(site, scope, form, blank=False),
            consent_source=form.text("consent_source"),
        )
        if not form.failed:
            async with site.rt.db.write(scope) as tx:
                row = await _add(tx, scope, form, wanted, site)
            return done(site, f"{PATH}/{row.id}", f"{row.email} was added")
    return await _show_form(site, request, form, None)


async def _add(tx: WriteTx, scope: Scope, form: Form, wanted: contacts.NewContact, site: Site) -> Contact:
    chosen = form.text("list")
    return await contacts.add(
        tx,
        scope,
        wanted,
        now=site.rt.clock.now(),
        hash_key=site.rt.keyring.derive_for_ever(HASH_PURPOSE),
        list_id=ListId((await lists.get_list(tx, scope, name=chosen)).id or 0) if chosen else None,
    )


@get("/contacts/{contact_id:int}")
async def show(request: UserRequest, site: NamedDependency[Site], contact_id: FromPath[int]) -> Response[str]:
    """All that is known of one contact, also of one that was deleted."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        contact = await any_contact(tx, scope, contact_id)
        key = contact.email_key
        before = params_of(request, "before")["before"]
        happened = await timeline(
            tx, scope, contact_id=contact_id, page=PageRequest(TIMELINE_ROWS, before or None)
        )
        acts = await consents.history(tx, scope, contact=contact)
        values: dict[str, Any] = {
            "lists": (await lists.memberships(tx, scope, [contact_id])).get(contact_id, {}),
            "tags": (await tags.tags_of(tx, scope, [contact_id])).get(contact_id, []),
            "labels": await attributes.attribute_labels(tx, scope),
            "suppressed": bool(await suppression.suppressed(tx, scope, [key])),
            "consents": acts,
            "names": await names_of(tx, scope, [("list", act.list_id) for act in acts]),
            "happened": happened,
            "before": before,
            "erased_at": contact.deleted_at + contacts.RESTORABLE if contact.deleted_at else None,
        }
    return await page(site, request, "pages/contact.html", contact=contact, **values)


async def any_contact(tx: ReadTx, scope: Scope, contact_id: int) -> Contact:
    """Also one that was deleted."""
    try:
        return await editing.get_by_id(tx, scope, contact_id=contact_id)
    except NotFound:
        return await editing.get_by_id(tx, scope, contact_id=contact_id, deleted=True)


@get("/contacts/{contact_id:int}/edit")
async def edit(request: UserRequest, site: NamedDependency[Site], contact_id: FromPath[int]) -> Response[str]:
    """The form with what is known."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        contact = await editing.get_by_id(tx, scope, contact_id=contact_id)
    given = {ATTRIBUTE + name: attributes_text(value) for name, value in contact.attributes.items()}
    form = Form({"first_name": contact.first_name, "last_name": contact.last_name, **given})
    return await _show_form(site, request, form, contact)


@post("/contacts/{contact_id:int}/edit")
async def change(
    request: UserRequest, site: NamedDependency[Site], contact_id: FromPath[int]
) -> Response[Any]:
    """Names and attributes; an attribute that is left empty is removed."""
    scope, form = request.auth.scope, await Form.of(request)
    async with site.rt.db.read(scope) as tx:
        contact = await editing.get_by_id(tx, scope, contact_id=contact_id)
    with form.checking("first_name"):
        changes = editing.ContactChanges(
            form.text("first_name"),
            form.text("last_name"),
            await _attributes(site, scope, form, blank=True),
        )
        async with site.rt.db.write(scope) as write:
            await editing.update(
                write, scope, contact_id=ContactId(contact_id), changes=changes, now=site.rt.clock.now()
            )
    if form.failed:
        return await _show_form(site, request, form, contact)
    return done(site, f"{PATH}/{contact_id}", "The changes were saved")


@post("/contacts/{contact_id:int}/{act:str}")
async def act(
    request: UserRequest, site: NamedDependency[Site], contact_id: FromPath[int], act: FromPath[str]
) -> Response[Any]:
    """Delete, restore, unsubscribe; add or remove a tag; decide on one who gave no sign of life for long."""
    scope, form, now = request.auth.scope, await Form.of(request), site.rt.clock.now()
    here, tag = f"{PATH}/{contact_id}", form.text("tag")
    scope.require(Grant.EDIT)
    async with site.rt.db.write(scope) as tx:
        contact = await editing.get_by_id(tx, scope, contact_id=contact_id, deleted=act == "restore")
        match act:
            case "delete":
                await contacts.soft_delete(tx, scope, address=contact.email, now=now)
                return done(site, PATH, f"{contact.email} was deleted and can be restored for 30 days")
            case "restore":
                await contacts.restore(tx, scope, address=contact.email, now=now)
                return done(site, here, f"{contact.email} is back")
            case "unsubscribe":
                await states.unsubscribe(tx, scope, contact_id=ContactId(contact_id), now=now, reason="page")
                return done(site, here, f"{contact.email} gets no more campaigns")
            case "tag":
                await tags.tag_contacts(tx, scope, tag=tag, contact_ids=[contact_id], now=now)
                return done(site, here, f"Tagged with {tag}")
            case "untag":
                await tags.untag_contacts(tx, scope, tag=tag, contact_ids=[contact_id], now=now)
                return done(site, here, f"The tag {tag} was taken off")
            case "keep":
                await hygiene.keep(tx, scope, contact_id=contact_id, now=now)
                return done(site, here, f"{contact.email} gets campaigns again")
            case "ask":
                base_url = site.rt.settings.base_url
                await reengagement.ask(
                    tx, scope, contact_id=contact_id, tokens=site.tokens, base_url=base_url, now=now
                )
                return done(site, here, f"{contact.email} is asked whether they want to go on")
            case "give-up":
                await hygiene.give_up(tx, scope, contact_id=contact_id, now=now)
                return done(site, here, f"{contact.email} is never written to again")
    raise NotFound("there is no such page")


async def _attributes(site: Site, scope: Scope, form: Form, *, blank: bool) -> dict[str, object]:
    """What was typed for each attribute that the tenant has; `blank` keeps the empty ones, which remove."""
    async with site.rt.db.read(scope) as tx:
        names = await attributes.attribute_labels(tx, scope)
    typed = {name: form.text(ATTRIBUTE + name) for name in names}
    return {name: text for name, text in typed.items() if text or blank}


async def _show_form(site: Site, request: UserRequest, form: Form, contact: Contact | None) -> Response[str]:
    scope = request.auth.scope
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        labels = await attributes.attribute_labels(tx, scope)
        offered = await menu(tx, scope, Kind.LISTS)
    values = {"contact": contact, "labels": labels, "lists": offered, "prefix": ATTRIBUTE}
    return await form_page(site, request, "pages/contact_form.html", form, **values)


def attributes_text(value: object) -> str:
    """A typed attribute as a person writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
