"""Log in and out.

Invariants: the session's token is new with every login, whatever cookie the browser came with; wrong guesses are
slowed down per account and client, whichever web process they come to; the answer is the same whatever was wrong;
a user with a second factor has no session before the code was right.
"""

from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie, State
from litestar.di import NamedDependency
from litestar.params import FromQuery

from mailengine.core.errors import Unauthorised
from mailengine.domain.accounts import attempts, auth, sessions, setup
from mailengine.domain.accounts.auth import CodeNeeded, Credential
from mailengine.domain.accounts.sessions import NewLogin
from mailengine.domain.accounts.users import verify_password
from mailengine.web.redirects import go_to, own_path
from mailengine.web.session import (
    MAX_TOKEN_CHARS,
    NEEDS,
    cookie_name,
    find_login,
    instance_scope,
    session_cookie,
    session_token,
)
from mailengine.web.site import Site
from mailengine.web.visitors import (
    MAX_FORM_BYTES,
    TOO_OLD,
    agent_of,
    fields,
    from_our_form,
    later,
    too_many,
    visitor_page,
)

CODE_COOKIE = "mailengine_code"  # a right password that waits for its code

AnyRequest = Request[Any, Any, State]


@get("/login")
async def form(request: AnyRequest, site: NamedDependency[Site], next: FromQuery[str] = "") -> Response[Any]:
    """The form; whoever is logged in goes on."""
    if await find_login(site, request) is not None:
        return go_to(own_path(next))
    instance = instance_scope(request)
    async with site.rt.db.read(instance) as tx:
        unclaimed = await setup.unclaimed(tx, instance)
    return show(site, request, next_path=next, unclaimed=unclaimed)


@post("/login", request_max_body_size=MAX_FORM_BYTES)
async def submit(request: AnyRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Check the form, then the password."""
    email, password, next_path = await fields(request, "email", "password", "next")
    if not await from_our_form(site, request):
        return show(site, request, email=email, next_path=next_path, error=TOO_OLD, status=403)
    wait = await slow_down(site, request, email)
    if wait:
        refused = show(site, request, email=email, next_path=next_path, error=too_many(wait), status=429)
        return later(refused, wait)
    try:
        login = await check_password(site, request, email, password)
    except Unauthorised:
        problem = "The e-mail address or the password is wrong."
        return show(site, request, email=email, next_path=next_path, error=problem, status=422)
    return await admitted(site, request, login, next_path)


@get("/login/code")
async def code_form(
    request: AnyRequest, site: NamedDependency[Site], next: FromQuery[str] = ""
) -> Response[Any]:
    """The question for the second factor, while there is a password that waits for it."""
    if not waiting_token(site, request):
        return go_to("/login")
    return show_code(site, request, next_path=next)


@post("/login/code", request_max_body_size=MAX_FORM_BYTES)
async def submit_code(request: AnyRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Check the code; guesses are counted per user, whoever makes them."""
    code, next_path = await fields(request, "code", "next")
    if not await from_our_form(site, request):
        return show_code(site, request, next_path=next_path, error=TOO_OLD, status=403)
    token, instance, now = waiting_token(site, request), instance_scope(request), site.rt.clock.now()
    async with site.rt.db.write(instance) as tx:
        user_id = await auth.waiting_user(tx, instance, token=token, now=now)
        wait = await attempts.take(tx, instance, attempts.CODE, account=f"user:{user_id}", now=now)
    if user_id is None:
        return go_to("/login")
    if wait:
        refused = show_code(site, request, next_path=next_path, error=too_many(wait), status=429)
        return later(refused, wait)
    try:
        login = await check_code(site, request, token, code)
    except Unauthorised as error:
        async with site.rt.db.write(instance) as tx:
            await auth.note_failure(tx, instance, user_id=user_id, now=now)
        return show_code(site, request, next_path=next_path, error=f"{error}.".capitalize(), status=422)
    return await admitted(site, request, login, next_path)


@post("/logout", opt={NEEDS: None})
async def leave(request: AnyRequest, site: NamedDependency[Site]) -> Response[Any]:
    """End the session here and in the database."""
    instance = instance_scope(request)
    async with site.rt.db.write(instance) as tx:
        await sessions.log_out(tx, instance, token=session_token(site, request), now=site.rt.clock.now())
    answer = go_to("/login")
    answer.delete_cookie(cookie_name(site), path="/")
    return answer


async def admitted(
    site: Site, request: AnyRequest, login: NewLogin | CodeNeeded, next_path: str
) -> Response[Any]:
    """Go on with the session, or to the question for the code; what the browser came with has ended."""
    if isinstance(login, CodeNeeded):
        answer = go_to("/login/code?" + urlencode({"next": own_path(next_path)}))
        answer.set_cookie(code_cookie(site, login.token))
        return answer
    answer = go_to(own_path(next_path))
    answer.set_cookie(session_cookie(site, login))
    answer.delete_cookie(cookie_name(site, CODE_COOKIE), path="/")
    return answer


async def check_password(site: Site, request: AnyRequest, email: str, password: str) -> NewLogin | CodeNeeded:
    """A new session; raises Unauthorised. Hashing runs between two transactions, in neither."""
    instance = instance_scope(request)
    async with site.rt.db.read(instance) as tx:
        credential = await auth.credential_of(tx, instance, email=email)
    password_ok = await verify_password(credential.password_hash, password)
    if credential.user_id is None or not password_ok:
        await fail(site, request, credential)
    return await begin(site, request, credential, email)


async def begin(site: Site, request: AnyRequest, credential: Credential, email: str) -> NewLogin | CodeNeeded:
    """What a right password leads to. The session that the browser came with ends."""
    instance, now = instance_scope(request), site.rt.clock.now()
    async with site.rt.db.write(instance) as tx:
        await sessions.log_out(tx, instance, token=session_token(site, request), now=now)
        await attempts.forget(tx, instance, attempts.PASSWORD_PAIR, account=email)
        return await auth.log_in(
            tx, instance, credential=credential, password_ok=True, now=now, agent=agent_of(request)
        )


async def fail(site: Site, request: AnyRequest, credential: Credential) -> None:
    """Raises Unauthorised, after a transaction that an address without an account costs too."""
    instance = instance_scope(request)
    async with site.rt.db.write(instance) as tx:
        await auth.note_failure(tx, instance, user_id=credential.user_id, now=site.rt.clock.now())
    raise Unauthorised("the e-mail address or the password is wrong")


async def check_code(site: Site, request: AnyRequest, token: str, code: str) -> NewLogin:
    instance, now = instance_scope(request), site.rt.clock.now()
    async with site.rt.db.write(instance) as tx:
        await sessions.log_out(tx, instance, token=session_token(site, request), now=now)
        return await auth.log_in_with_code(
            tx,
            instance,
            keyring=site.rt.keyring,
            token=token,
            code=code,
            now=now,
            agent=agent_of(request),
        )


async def slow_down(site: Site, request: AnyRequest, email: str) -> float:
    """Seconds until this client may try this account again; 0 for now."""
    instance, now = instance_scope(request), site.rt.clock.now()
    async with site.rt.db.write(instance) as tx:
        return await attempts.take(tx, instance, attempts.PASSWORD, account=email, now=now)


def waiting_token(site: Site, request: AnyRequest) -> str:
    token = request.cookies.get(cookie_name(site, CODE_COOKIE), "")
    return token if len(token) <= MAX_TOKEN_CHARS else ""


def code_cookie(site: Site, token: str) -> Cookie:
    return Cookie(
        key=cookie_name(site, CODE_COOKIE),
        value=token,
        max_age=600,
        path="/",
        httponly=True,
        samesite="lax",  # an identity provider's redirect may come before it
        secure=site.https,
    )


def show(
    site: Site,
    request: AnyRequest,
    *,
    email: str = "",
    next_path: str = "",
    error: str = "",
    status: int = 200,
    unclaimed: bool = False,
) -> Response[str]:
    return visitor_page(
        site,
        request,
        "pages/login.html",
        unclaimed=unclaimed,
        status=status,
        email=email,
        error=error,
        next=own_path(next_path, ""),
        open=site.rt.settings.accounts.sign_up == "open",
        provider=site.rt.settings.oidc.name if site.provider else "",
    )


def show_code(
    site: Site, request: AnyRequest, *, next_path: str = "", error: str = "", status: int = 200
) -> Response[str]:
    return visitor_page(
        site,
        request,
        "pages/account/code.html",
        status=status,
        error=error,
        next=own_path(next_path, ""),
    )
