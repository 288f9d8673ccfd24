"""Segments: the list of them, and the builder, which is kept in step with the text form.

The builder is one form. Every press of a button in it, and with a script every change, sends the whole of it and gets
the page of what it has become, with the people whom it describes counted. Only the button that saves writes anything.
"""

import random
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts import audience
from mailengine.domain.contacts.segments import find, saved
from mailengine.domain.contacts.segments.check import check
from mailengine.domain.contacts.segments.names import Names, read_names
from mailengine.domain.contacts.segments.parse import Parsed, parse
from mailengine.domain.contacts.segments.rules import MAX_RULES, Everyone, Rule, conditions, normal
from mailengine.domain.contacts.segments.show import show
from mailengine.models import Contact, Segment
from mailengine.web.forms import Form, sentence
from mailengine.web.pages.frame import UserRequest, done, page
from mailengine.web.pages.listing import Listing, either, page_of, params_of
from mailengine.web.pages.segment_choices import Choices, choices
from mailengine.web.pages.segment_draft import MAX_LINES, ROOT, Condition, Group, draft_in, draft_of
from mailengine.web.rendering import html
from mailengine.web.session import NEEDS
from mailengine.web.site import Site

PATH = "/segments"
SAMPLE = 5
SAVE = "save"


@dataclass(frozen=True, slots=True)
class Texts:
    """`text` is the text form, or what was typed there; `shown` is what stood there before, which tells whether
    somebody typed."""

    text: str = ""
    shown: str = ""


@dataclass(slots=True)
class Editor:
    """What the page of one segment shows. `told` is None where nothing could be counted; `later`: nothing was yet."""

    here: str
    draft: Group
    texts: Texts
    choices: Choices
    segment: Segment | None = None
    problem: str = ""
    told: audience.Explanation | None = None
    sample: list[Contact] = field(default_factory=list)
    used_by: list[str] = field(default_factory=list)
    later: bool = False
    focus: str = ""  # the id of what the keyboard goes on with

    def number(self, line: Condition) -> int:
        """Its place among the conditions, as people count."""
        return 1 + [each.key for each in self.draft.conditions()].index(line.key)

    @property
    def unfinished(self) -> int:
        return sum(line.unfinished for line in self.draft.conditions())


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Every segment; each is counted by a request of its own, because on a million contacts that takes a while."""
    scope, params = request.auth.scope, params_of(request, "used")
    chosen = either(params["used"])
    async with site.rt.db.read(scope) as tx:
        found = await saved.list_segments(tx, scope, page=page_of(params), text=params["q"], used=chosen)
        used = await saved.used_by_drafts(tx, scope)
    texts = {row.id: show(saved.rule_of(row)) for row in found.items}
    listing = Listing(PATH, params, found, "segment", "segments")
    return await page(site, request, "pages/segments.html", listing=listing, texts=texts, used=used)


@get("/segments/{segment_id:int}/count")
async def count(
    request: UserRequest, site: NamedDependency[Site], segment_id: FromPath[int]
) -> Response[str]:
    """How many it describes now: a piece of the list."""
    scope, number = request.auth.scope, None
    async with site.rt.db.read(scope) as tx:
        rule = saved.rule_of(await saved.get_by_id(tx, scope, segment_id=segment_id))
    with suppress(InvalidInput):  # it names a tag or list that is gone; its own page says which
        number = await find.live_count(site.rt.db, scope, rule, now=site.rt.clock.now())
    return html(site.render("fragments/segment_count.html", count=number, segment_id=segment_id))


@get("/segments/new")
async def new(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """A builder with one line to begin with."""
    request.auth.scope.require(Grant.EDIT)
    draft = Group(ROOT, lines=[Condition(ROOT + 1)])
    return await _page(site, request, Form(), draft, Texts(), later=True)


@post("/segments/new")
async def create(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Go on building, or save."""
    return await _posted(site, request, None)


@get("/segments/{segment_id:int}")
async def edit(request: UserRequest, site: NamedDependency[Site], segment_id: FromPath[int]) -> Response[str]:
    """The builder with the segment in it."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        segment = await saved.get_by_id(tx, scope, segment_id=segment_id)
    draft, form = draft_of(saved.rule_of(segment)), Form({"name": segment.name})
    return await _page(site, request, form, draft, Texts(), segment=segment, later=True)


@post("/segments/{segment_id:int}", opt={NEEDS: Grant.READ})  # who may not save may look, and have it counted
async def change(
    request: UserRequest, site: NamedDependency[Site], segment_id: FromPath[int]
) -> Response[Any]:
    """Go on building, or save."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        segment = await saved.get_by_id(tx, scope, segment_id=segment_id)
    return await _posted(site, request, segment)


@post("/segments/{segment_id:int}/delete")
async def delete(
    request: UserRequest, site: NamedDependency[Site], segment_id: FromPath[int]
) -> Response[Any]:
    """Its contacts stay; refused while a draft is for it."""
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        gone = await saved.delete(tx, scope, segment_id=segment_id, now=site.rt.clock.now())
    return done(site, PATH, f"The segment {gone.name} was deleted")


async def _posted(site: Site, request: UserRequest, segment: Segment | None) -> Response[Any]:
    scope, form = request.auth.scope, await Form.of(request)
    draft, text, shown = draft_in(form), form.text("text"), form.text("shown")
    act, _, key = form.text("act").partition(":")
    given: Parsed | None = None
    if text != shown and act != "forget":  # somebody typed there: the builder follows
        with form.checking("text"):
            given = parse(text)
            draft = draft_of(_few(given.rule))
    focus = _build(draft, act, int(key) if key.isascii() and key.isdigit() and len(key) < 7 else 0)
    if act == SAVE and not form.failed:
        stored = await _save(site, scope, form, given, draft, segment)
        if stored is not None:
            return done(site, f"{PATH}/{stored.id}", f"The segment {stored.name} was saved")
    texts = Texts(text, shown if given is None and form.error("text") else text)
    return await _page(site, request, form, draft, texts, segment=segment, saving=act == SAVE, focus=focus)


def _few(rule: Rule) -> Rule:
    """Raises InvalidInput for a text of so many conditions that its lines would be megabytes of a page."""
    number = sum(1 for _ in conditions(rule))
    if number > MAX_RULES:
        raise InvalidInput(f"a segment can have {MAX_RULES} conditions at most, not {number}")
    return rule


def _build(draft: Group, act: str, key: int) -> str:
    """What a button of the builder does; what fits no line does nothing. The answer is where the keyboard goes on."""
    if act == "drop" and key != ROOT:
        return f"act-add-{draft.remove(key)}"
    group, new_key = draft.find(key), draft.free_key()
    if group is None or len(list(draft.walk())) >= MAX_LINES:
        return ""
    if act == "add":
        group.lines.append(Condition(new_key))
        return f"l{new_key}_field"
    if act == "group":
        group.lines.append(Group(new_key, "any", lines=[Condition(new_key + 1)]))
        return f"l{new_key + 1}_field"
    return ""


async def _save(
    site: Site, scope: Scope, form: Form, given: Parsed | None, draft: Group, segment: Segment | None
) -> Segment | None:
    """None where something is wrong: then it stands at the name, at the text or (by `_judge`) at its line."""
    scope.require(Grant.EDIT)
    if any(line.unfinished for line in draft.conditions()):
        return None
    rule: Parsed | Rule
    with form.checking("rule"):
        rule = given or normal(draft.rule())
    with form.checking("name"):
        saved.check_name(form.text("name"))
    if form.failed:
        return None
    async with site.rt.db.read(scope) as tx:
        with form.checking("text" if given else "rule"):
            await find.checked(tx, scope, rule)
    if form.failed:
        return None
    now, name = site.rt.clock.now(), form.text("name")
    with form.checking("name"):
        async with site.rt.db.write(scope) as tx:
            if segment is None or segment.id is None:
                return await saved.add(tx, scope, name=name, rule=rule, now=now)
            return await saved.update(tx, scope, segment_id=segment.id, name=name, rule=rule, now=now)
    return None


async def _page(
    site: Site,
    request: UserRequest,
    form: Form,
    draft: Group,
    texts: Texts,
    *,
    segment: Segment | None = None,
    saving: bool = False,
    later: bool = False,
    focus: str = "",
) -> Response[str]:
    """`later`: the page comes at once and asks for the count itself."""
    scope = request.auth.scope
    rule, problem = _rule_of(draft)
    async with site.rt.db.read(scope) as tx:
        names = await read_names(tx, scope, [rule])
        problem = problem or form.error("rule") or _judge(draft, rule, names, saving=saving)
        if not (problem or form.error("text")):
            texts = _in_step(texts, rule)
        editor = Editor(
            _path(segment), draft, texts, await choices(tx, scope, names), segment, problem,
            later=later, focus=focus,
        )  # fmt: skip
        if segment is not None and segment.id is not None:
            editor.used_by = (await saved.used_by_drafts(tx, scope)).get(segment.id, [])
        if not (later or problem or form.error("text") or _faulty(draft)):
            await _count(tx, scope, site, rule, editor)
    failed = saving and (form.failed or _faulty(draft) or bool(problem))
    answer = await page(
        site, request, "pages/segment.html", status=422 if failed else 200, form=form, editor=editor
    )
    answer.headers["HX-Push-Url"] = "false"
    return answer


def _rule_of(draft: Group) -> tuple[Rule, str]:
    """The rule, or everyone and what is wrong with the tree."""
    try:
        return normal(draft.rule()), ""
    except InvalidInput as error:
        return Everyone(), sentence(str(error))


def _judge(draft: Group, rule: Rule, names: Names, *, saving: bool) -> str:
    """Says at each line what is wrong with it; the answer is what is wrong with the whole."""
    for line in draft.conditions():
        if not line.unfinished:
            problems = check(normal(line.rule()), names)
            line.error = sentence(problems[0].words) if problems else ""
        elif saving:
            line.error = "Say a value." if line.about else "Choose what it is about."
    whole = [] if _faulty(draft) else check(rule, names)
    return sentence(whole[0].words) if whole else ""


def _in_step(texts: Texts, rule: Rule) -> Texts:
    """The text of the rule; one that says the same in other words stays as it was typed."""
    try:
        same = parse(texts.text).rule == rule
    except InvalidInput:
        same = False
    return Texts(texts.text, texts.text) if same else Texts(show(rule), show(rule))


async def _count(tx: ReadTx, scope: Scope, site: Site, rule: Rule, editor: Editor) -> None:
    now = site.rt.clock.now()
    chosen = await audience.choose(tx, scope, audience.Choice(segments=(rule,)), now=now)
    editor.told = await audience.explain(tx, scope, chosen)
    editor.sample = await find.sample(tx, scope, rule, limit=SAMPLE, now=now, chance=random.SystemRandom())


def _faulty(draft: Group) -> bool:
    return any(line.error for line in draft.conditions())


def _path(segment: Segment | None) -> str:
    return f"{PATH}/{segment.id}" if segment else f"{PATH}/new"
