"""What a person may ask of the organisation: to see all that is held of them, and to be forgotten."""

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.scope import Grant
from mailengine.domain.privacy import person
from mailengine.models import Contact
from mailengine.web.erasing import erase_person
from mailengine.web.forms import Form
from mailengine.web.pages.contact import any_contact
from mailengine.web.pages.contacts import PATH
from mailengine.web.pages.frame import UserRequest, done, form_page
from mailengine.web.session import FRESH, NEEDS
from mailengine.web.site import Site

MANAGE = {NEEDS: Grant.MANAGE}
MANAGE_AND_FRESH = {**MANAGE, FRESH: True}


@post("/contacts/{contact_id:int}/data", opt=MANAGE)
async def data(
    request: UserRequest, site: NamedDependency[Site], contact_id: FromPath[int]
) -> Response[bytes]:
    """All that is held of them, as a file. A POST, because the audit log notes it."""
    scope, now = request.auth.scope, site.rt.clock.now()
    async with site.rt.db.write(scope) as tx:
        contact = await any_contact(tx, scope, contact_id)
        held = await person.collect(tx, scope, address=contact.email)
        await person.record_export(tx, scope, contact_id=contact_id, now=now)
    body = msgspec.json.format(
        msgspec.json.encode({"address": contact.email, "exported_at": now, "held": held}, enc_hook=str)
    )
    name = f'attachment; filename="contact-{contact_id}.json"'
    return Response(
        body, status_code=200, media_type="application/json", headers={"Content-Disposition": name}
    )


@get("/contacts/{contact_id:int}/erase", opt=MANAGE_AND_FRESH)
async def ask_erase(
    request: UserRequest, site: NamedDependency[Site], contact_id: FromPath[int]
) -> Response[str]:
    """What erasing means, and the question for the address."""
    return await _show(site, request, Form(), await _contact(site, request, contact_id))


@post("/contacts/{contact_id:int}/erase", opt=MANAGE_AND_FRESH)
async def erase(
    request: UserRequest, site: NamedDependency[Site], contact_id: FromPath[int]
) -> Response[Any]:
    """For good, once the address was typed."""
    form, contact = await Form.of(request), await _contact(site, request, contact_id)
    if form.text("address").casefold() != contact.email.casefold():
        form.reject("address", "type the address as it stands above")
    with form.checking("address"):
        if not form.failed:
            await erase_person(site.rt, request.auth.scope, address=contact.email)
    if form.failed:
        return await _show(site, request, form, contact)
    return done(site, PATH, "The person was erased, and no import brings them back")


async def _contact(site: Site, request: UserRequest, contact_id: int) -> Contact:
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        return await any_contact(tx, scope, contact_id)


async def _show(site: Site, request: UserRequest, form: Form, contact: Contact) -> Response[str]:
    return await form_page(site, request, "pages/contact_erase.html", form, contact=contact)
