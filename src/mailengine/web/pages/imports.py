"""Files of contacts: sent to the daemon's disk, looked at column by column, and then imported by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency

from mailengine.core.errors import InvalidInput, NotFound
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts import attributes, lists
from mailengine.domain.contacts.imports import mappings, uploads
from mailengine.domain.contacts.imports.headers import FIELDS, SEVERAL, Field
from mailengine.domain.contacts.imports.mapping import check_target
from mailengine.domain.contacts.imports.plan import OnDuplicate
from mailengine.domain.contacts.imports.preview import preview
from mailengine.domain.contacts.imports.request import ImportRequest
from mailengine.domain.contacts.imports.upload_jobs import queue_upload
from mailengine.domain.contacts.tags import check_tag
from mailengine.domain.jobs import jobs
from mailengine.models import AttributeKind, JobState
from mailengine.web.forms import Form
from mailengine.web.pages.choices import Kind, menu
from mailengine.web.pages.frame import UserRequest, done, form_page, page
from mailengine.web.pages.listing import Listing, one_of, page_of, params_of
from mailengine.web.site import Site
from mailengine.web.uploads import IMPORTS, Rehearsal, rehearsed, surroundings, take_turn

PATH = "/imports"
MAPPINGS = PageRequest(limit=200)  # saved ones that are offered
MAX_FORM_BYTES = (
    32 << 20
)  # without a script a file comes inside a form, whose other fields are held in memory
ATTRIBUTE = "attribute"  # what the choice of a column says for all that is no field
DEFAULTS = {"list": "Contacts", "on_duplicate": OnDuplicate.UPDATE.value}


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """A column of the file and what the form says of it: `choice` is a field, `ignore` or ATTRIBUTE."""

    header: str
    examples: Sequence[str]
    choice: str
    name: str  # of the attribute
    kind: str  # as it was said; empty for the one that was found
    found: str


@dataclass(frozen=True, slots=True)
class Looked:
    """What the page shows of a file; `problem` is why it cannot be read at all."""

    columns: Sequence[ColumnRow] = ()
    facts: Mapping[str, Any] | None = None
    problem: str = ""


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Where a file is given, and what became of the earlier ones."""
    scope, params = request.auth.scope, params_of(request, "state")
    async with site.rt.db.read(scope) as tx:
        found = await jobs.list_(
            tx,
            scope,
            page=page_of(params),
            kinds=IMPORTS,
            state=one_of(params["state"], JobState),
            text=params["q"],
        )
        saved = (await mappings.list_mappings(tx, scope, page=MAPPINGS)).items
    listing = Listing(PATH, params, found, "import", "imports")
    limit = uploads.MAX_BYTES >> 20
    return await page(
        site,
        request,
        "pages/imports.html",
        listing=listing,
        states=list(JobState),
        saved=saved,
        limit=limit,
        kept_days=uploads.KEPT.days,
    )


@post("/imports/files", request_max_body_size=None)
async def receive(request: UserRequest, site: NamedDependency[Site]) -> Response[None]:
    """The body is the file; the page's script sends it so, because then it goes to the disk as it comes."""
    token, _size = await uploads.receive(
        site.rt.settings.data_dir, request.auth.scope, request.stream(), now=site.rt.clock.now()
    )
    where = file_url(token, params_of(request, "name")["name"])
    return Response(None, status_code=201, headers={"Location": where})


@post(PATH, request_max_body_size=MAX_FORM_BYTES)
async def receive_form(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """The same for browsers without a script."""
    given = (await request.form()).get("file")
    if not isinstance(given, UploadFile) or not given.filename:
        return done(site, PATH, "Choose a file first", "warning")
    token, _size = await uploads.receive(
        site.rt.settings.data_dir, request.auth.scope, _chunks(given), now=site.rt.clock.now()
    )
    return Response(None, status_code=303, headers={"Location": file_url(token, given.filename)})


async def _chunks(file: UploadFile) -> Any:
    while chunk := await file.read(1 << 20):
        yield chunk


def file_url(token: str, name: str) -> str:
    return f"{PATH}/new?" + urlencode({"file": token, "name": name[:200] or "upload"})


@get("/imports/new")
async def look(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """What each column would become."""
    return await _show(site, request, Form(DEFAULTS), params_of(request, "saved")["saved"])


@post("/imports/new")
async def begin(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Read the file differently, try the import, or start it."""
    scope, form = request.auth.scope, await Form.of(request)
    scope.require(Grant.EDIT)
    if form.text("act") == "read":
        return await _show(site, request, form, form.text("saved"), typed=False)
    with form.checking("columns"):
        wanted = _request(site, request, form, typed_mapping(form))
        _check(form)
    if form.failed:
        return await _show(site, request, form)
    rehearsal: Rehearsal | None = None
    with form.checking("columns"):
        if form.text("act") != "start":
            rehearsal = await rehearsed(site, scope, wanted)
        else:
            job_id = await _start(site, scope, form, wanted)
            return done(site, f"{PATH}/{job_id}", "The import has begun")
    return await _show(site, request, form, rehearsal=rehearsal)


@post("/imports/mappings/delete")
async def forget_mapping(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """The name comes in the form: it may hold a slash."""
    scope, name = request.auth.scope, (await Form.of(request)).text("name")
    async with site.rt.db.write(scope) as tx:
        await mappings.delete(tx, scope, name=name, now=site.rt.clock.now())
    return done(site, PATH, f"The mapping {name} was deleted")


def typed_mapping(form: Form) -> dict[str, str]:
    """Header → field, attribute or `ignore`; raises InvalidInput for what two columns cannot both be."""
    mapping: dict[str, str] = {}
    headers, choices = form.texts("header"), form.texts("choice")
    for header, choice, name, kind in zip(
        headers, choices, form.texts("attribute"), form.texts("kind"), strict=False
    ):
        target = choice if choice != ATTRIBUTE else ":".join(filter(None, (name.strip(), kind)))
        if choice == ATTRIBUTE and not name.strip():
            raise InvalidInput(f"say what the attribute of the column {header!r} is called")
        check_target(target)
        mapping[header] = target
    targets = [target.partition(":")[0] for target in mapping.values()]
    doubled = next((one for one in targets if one not in SEVERAL and targets.count(one) > 1), None)
    if doubled is not None:
        raise InvalidInput(f"two columns cannot both be {doubled!r}; leave one of them out")
    if Field.EMAIL not in targets:
        raise InvalidInput("say which column holds the e-mail addresses")
    return mapping


def _check(form: Form) -> None:
    with form.checking("list"):
        lists.check_name(form.text("list"))
    with form.checking("tags"):
        _tags(form)
    if form.text("save_as"):
        with form.checking("save_as"):
            mappings.check_name(form.text("save_as"))


def _tags(form: Form) -> tuple[str, ...]:
    return tuple(check_tag(tag) for tag in form.text("tags").split(",") if tag.strip())


def _request(site: Site, request: UserRequest, form: Form, mapping: Mapping[str, str]) -> ImportRequest:
    """Raises NotFound for a file that is not there, or another tenant's."""
    params = params_of(request, "file", "name")
    return ImportRequest(
        path=uploads.find(site.rt.settings.data_dir, request.auth.scope, params["file"]),
        list_name=form.text("list"),
        name=params["name"] or "upload",
        mapping=mapping,
        on_duplicate=one_of(form.text("on_duplicate"), OnDuplicate) or OnDuplicate.UPDATE,
        consent_source=form.text("consent_source")[:200],
        encoding=form.text("encoding") or None,
        delimiter=form.text("delimiter") or None,
        part=form.text("part") or None,
    )


async def _start(site: Site, scope: Scope, form: Form, wanted: ImportRequest) -> int:
    await preview(
        surroundings(site), scope, wanted
    )  # what is wrong with the file is said here, not by the job
    take_turn(site, scope)
    now = site.rt.clock.now()
    async with site.rt.db.write(scope) as tx:
        if form.text("save_as"):
            await mappings.save(tx, scope, name=form.text("save_as"), mapping=wanted.mapping, now=now)
        job = await queue_upload(tx, scope, replace(wanted, tags=_tags(form)), name=wanted.name, now=now)
    assert job.id is not None
    return job.id


async def _show(
    site: Site,
    request: UserRequest,
    form: Form,
    saved: str = "",
    *,
    typed: bool = True,
    rehearsal: Rehearsal | None = None,
) -> Response[str]:
    """The page for one file; what was typed of its columns stands unless they are read anew."""
    scope = request.auth.scope
    scope.require(Grant.EDIT)
    async with site.rt.db.read(scope) as tx:
        offered = await _offered(tx, scope)
        mapping = dict((await mappings.get(tx, scope, name=saved)).mapping) if saved else {}
    looked = await _look(site, request, form, mapping, typed=typed)
    params = params_of(request, "file", "name")
    return await form_page(
        site,
        request,
        "pages/import_new.html",
        form,
        looked=looked,
        rehearsal=rehearsal,
        params=params,
        fields=[field.value for field in Field if field is not Field.IGNORE],
        kinds=list(AttributeKind),
        **offered,
    )


async def _offered(tx: ReadTx, scope: Scope) -> dict[str, Any]:
    return {
        "lists": (await menu(tx, scope, Kind.LISTS)).rows,
        "attributes": await attributes.attribute_labels(tx, scope),
        "saved": (await mappings.list_mappings(tx, scope, page=MAPPINGS)).items,
    }


async def _look(
    site: Site, request: UserRequest, form: Form, mapping: Mapping[str, str], *, typed: bool
) -> Looked:
    """The columns as the file has them; a saved mapping counts as far as they are there."""
    try:
        wanted = _request(site, request, form, {})
    except NotFound as error:
        return Looked(problem=str(error))
    try:
        found = await preview(surroundings(site), request.auth.scope, wanted, unfinished=True)
        there = {header: mapping[header] for header in found.source.columns.headers if header in mapping}
        if there:
            wanted = replace(wanted, mapping=there)
            found = await preview(surroundings(site), request.auth.scope, wanted, unfinished=True)
    except InvalidInput as error:
        return Looked(problem=str(error))
    facts = found.as_dict()
    return Looked([_row(column, form, typed=typed) for column in facts["columns"]], facts)


def _row(column: Mapping[str, Any], form: Form, *, typed: bool) -> ColumnRow:
    header, target = column["header"], column["target"]
    choice, name = (target, "") if target in FIELDS else (ATTRIBUTE, target)
    kind = ""
    if typed and header in (headers := form.texts("header")):
        at = headers.index(header)
        given = [form.texts(field)[at : at + 1] for field in ("choice", "attribute", "kind")]
        choice, name, kind = (text[0] if text else "" for text in given)
    return ColumnRow(header, column["examples"], choice, name, kind, column["kind"] or "")
