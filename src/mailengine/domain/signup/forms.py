"""Sign-up forms: what stands on a public page, which lists it leads to, and what people agree to by it."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound
from mailengine.core.ids import TenantId
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.lists import get_list, present
from mailengine.domain.contacts.queries import contains
from mailengine.models import ContactList, SignupForm

DEFAULT_WORDING = "I want to get the newsletters of {organisation} by e-mail. I can unsubscribe at any time."
_LIMITS = {"name": 200, "title": 200, "intro": 1000, "wording": 2000}


@dataclass(frozen=True, slots=True)
class FormFields:
    """What a person says about a form; None leaves a value as it is (or at its default)."""

    name: str | None = None
    title: str | None = None
    intro: str | None = None
    wording: str | None = None
    lists: Sequence[str] | None = None
    ask_name: bool | None = None
    enabled: bool | None = None


async def create_form(
    tx: WriteTx, scope: Scope, fields: FormFields, *, organisation: str, now: datetime
) -> SignupForm:
    """Raises InvalidInput, NotFound (a list), Conflict (the name is taken)."""
    scope.require(Grant.EDIT)
    if not fields.name or not fields.lists:
        raise InvalidInput("a form needs a name and a list")
    form = SignupForm(
        tenant_id=scope.tenant_id,
        uid=secrets.token_urlsafe(12),
        name="",
        title=organisation[: _LIMITS["title"]],
        wording=DEFAULT_WORDING.format(organisation=organisation),
        created_at=now,
        updated_at=now,
    )
    await _apply(tx, scope, form, fields)
    await _store(tx, form)
    await audit.record(tx, scope, "form.create", "form", form.id, now=now)
    return form


async def update_form(
    tx: WriteTx, scope: Scope, *, form_id: int, fields: FormFields, now: datetime
) -> SignupForm:
    """Who signed up agreed to the wording of then, which is kept with their consent."""
    scope.require(Grant.EDIT)
    form = await get_by_id(tx, scope, form_id=form_id)
    await _apply(tx, scope, form, fields)
    form.updated_at = now
    await _store(tx, form)
    await audit.record(tx, scope, "form.update", "form", form.id, now=now)
    return form


async def delete_form(tx: WriteTx, scope: Scope, *, form_id: int, now: datetime) -> SignupForm:
    """Its page is gone; links that were sent still confirm."""
    scope.require(Grant.EDIT)
    form = await get_by_id(tx, scope, form_id=form_id)
    await tx.delete(form)
    await audit.record(tx, scope, "form.delete", "form", form_id, now=now)
    return form


async def get_form(tx: ReadTx, scope: Scope, *, name: str) -> SignupForm:
    """Raises NotFound, also for another tenant's."""
    found = await tx.scalar(owned(SignupForm, scope).where(col(SignupForm.name) == " ".join(name.split())))
    if found is None:
        raise NotFound(f"there is no form called {name}; `mailengine forms list` shows those there are")
    return found


async def get_by_id(tx: ReadTx, scope: Scope, *, form_id: int) -> SignupForm:
    """Raises NotFound, also for another tenant's."""
    found = await tx.scalar(owned(SignupForm, scope).where(col(SignupForm.id) == form_id))
    if found is None:
        raise NotFound(f"there is no form {form_id}")
    return found


async def list_forms(
    tx: ReadTx, scope: Scope, *, page: PageRequest, text: str = "", enabled: bool | None = None
) -> Page[SignupForm]:
    """By id; `text` restricts to names that hold it."""
    query = owned(SignupForm, scope)
    if text:
        query = query.where(contains(col(SignupForm.name), text))
    if enabled is not None:
        query = query.where(col(SignupForm.enabled).is_(enabled))
    return await keyset_page(tx, query, col(SignupForm.id), page)


async def owner_of(tx: ReadTx, _instance: InstanceScope, *, uid: str) -> TenantId:
    """Whose form a public address means; raises NotFound, also for one that is switched off."""
    forms = table_of(SignupForm).c
    query = sa.select(forms.tenant_id).where(forms.uid == uid, forms.enabled.is_(True))
    tenant_id = await tx.scalar(query)
    if tenant_id is None:
        raise NotFound("this form is not there")
    return TenantId(tenant_id)


async def public_form(tx: ReadTx, scope: Scope, *, uid: str) -> SignupForm:
    """Raises NotFound."""
    query = owned(SignupForm, scope).where(col(SignupForm.uid) == uid, col(SignupForm.enabled).is_(True))
    found = await tx.scalar(query)
    if found is None:
        raise NotFound("this form is not there")
    return found


async def lists_of(tx: ReadTx, scope: Scope, ids: Sequence[int]) -> Sequence[ContactList]:
    """Those of the lists that are there."""
    query = present(scope).where(col(ContactList.id).in_(ids)).order_by(col(ContactList.name))
    return (await tx.scalars(query)).all()


async def _apply(tx: WriteTx, scope: Scope, form: SignupForm, fields: FormFields) -> None:
    for name in _LIMITS:
        given = getattr(fields, name)
        if given is not None:
            setattr(form, name, check_text(name, given))
    if fields.lists is not None:
        found = [await get_list(tx, scope, name=name, keep=True) for name in dict.fromkeys(fields.lists)]
        form.list_ids = [each.id for each in found if each.id is not None]
        if not form.list_ids:
            raise InvalidInput("a form needs a list")
    form.ask_name = form.ask_name if fields.ask_name is None else fields.ask_name
    form.enabled = form.enabled if fields.enabled is None else fields.enabled


def check_text(name: str, given: str) -> str:
    """One of a form's texts with its spaces in order; raises InvalidInput."""
    text, limit = " ".join(given.split()), _LIMITS[name]
    if len(text) > limit or "\x00" in text or (not text and name != "intro"):
        raise InvalidInput(
            f"a form's {name} must have {'up to' if name == 'intro' else '1 to'} {limit} characters"
        )
    return text


async def _store(tx: WriteTx, form: SignupForm) -> None:
    name = form.name
    try:
        async with tx.begin_nested():
            tx.add(form)
    except IntegrityError as error:
        raise Conflict(f"there is already a form called {name}") from error
