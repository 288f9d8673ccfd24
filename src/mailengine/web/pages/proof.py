"""Who is logged in shows the password, or a code of the second factor, once more. A wrong one is in the audit log."""

from mailengine.domain.accounts import attempts, second_factor, sessions
from mailengine.domain.accounts.users import verify_password
from mailengine.web.counting import count
from mailengine.web.pages.frame import UserRequest
from mailengine.web.session import instance_scope
from mailengine.web.site import Site


async def knows_password(site: Site, request: UserRequest, password: str) -> bool:
    """Whether it is the user's; counted like a login, so that an open browser is no place to guess in."""
    user, instance = request.auth.user, instance_scope(request)
    await count(site.rt, instance, attempts.PASSWORD, account=user.email)
    ok = await verify_password(user.password_hash, password)
    async with site.rt.db.write(instance) as tx:
        if ok:
            await attempts.forget(tx, instance, attempts.PASSWORD_PAIR, account=user.email)
        else:
            await sessions.note_wrong_proof(tx, instance, login=request.auth, now=site.rt.clock.now())
    return ok


async def knows_code(site: Site, request: UserRequest, code: str) -> bool:
    """Whether it is one of the user's second factor; it is used up."""
    user, instance = request.auth.user, instance_scope(request)
    assert user.id is not None
    await count(site.rt, instance, attempts.CODE, account=f"user:{user.id}")
    now = site.rt.clock.now()
    async with site.rt.db.write(instance) as tx:
        ok = await second_factor.check(tx, keyring=site.rt.keyring, user_id=user.id, code=code, now=now)
        if not ok:
            await sessions.note_wrong_proof(tx, instance, login=request.auth, now=now)
    return ok
