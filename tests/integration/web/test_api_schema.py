"""The API against its own document: schemathesis makes up requests, and no answer may differ from what is said.

One server for the module, in a thread with a loop of its own, because hypothesis' tests are not async. What is of
schemathesis is imported where it is used: every worker collects this module, and one runs it.
"""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings

from mailengine.core.clock import SystemClock
from mailengine.core.config import load_settings
from mailengine.core.ids import TenantId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import Database
from mailengine.domain.accounts import api_keys
from mailengine.domain.accounts.tenants import create_tenant
from mailengine.models import Role
from mailengine.runtime import Runtime
from peers.template import copy_sqlite
from support.integrity import assert_integrity
from support.served import listener, serving

EXAMPLES = 3
PARTS = 2  # of the operations, so that both cores have some and none takes minutes on a busy machine
INSTANCE = InstanceScope("test")


async def make_key(rt: Runtime) -> str:
    async with rt.db.write(INSTANCE) as tx:
        tenant = await create_tenant(
            tx, INSTANCE, name="Acme", country="DE", postal_address="Street 1", now=rt.clock.now()
        )
    scope = Scope(TenantId(tenant.id or 0), "test")
    async with rt.db.write(scope) as tx:
        return (await api_keys.create(tx, scope, name="key", role=Role.OWNER, now=rt.clock.now())).token


@pytest.fixture(scope="module")
def api_schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import schemathesis
    from schemathesis.specs.openapi import converter

    folder = tmp_path_factory.mktemp("api")
    dsn = copy_sqlite(folder / "test.sqlite3")
    bound, ready, ended, key = listener(), threading.Event(), threading.Event(), []
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"

    async def serve() -> None:
        chosen = load_settings(data_dir=folder, database={"url": dsn}, web={"base_url": url})
        db = Database(dsn, chosen.database)
        rt = Runtime(chosen, db, SystemClock(), Keyring(bytes(range(32))))
        key.append(await make_key(rt))
        async with serving(rt, bound, asyncio.Event()):
            ready.set()
            await asyncio.to_thread(ended.wait)
        await db.close()

    thread = threading.Thread(target=uvloop.run, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    with pytest.MonkeyPatch.context() as patch:
        # It would write a longest length of 20,000 into the pattern, which then takes 0.2 s whenever it is compiled.
        patch.setattr(converter, "update_quantifier", lambda pattern, *_lengths: pattern)
        schema = schemathesis.openapi.from_url(f"{url}/api/openapi.json")
        schema.key = key[0]
        yield schema
    ended.set()
    thread.join(20)
    assert_integrity(dsn)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_the_api_does_what_its_document_says(api_schema: Any, mode: str, part: int) -> None:
    from schemathesis.generation import GenerationMode

    for found in list(api_schema.get_all_operations())[part::PARTS]:
        explore(found.ok(), GenerationMode(mode), {"Authorization": f"Bearer {api_schema.key}"})


def explore(operation: Any, mode: Any, headers: dict[str, str]) -> None:
    """A few requests to one operation: right by the document (positive), or wrong in some way."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    conform = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        case.call_and_validate(checks=conform, headers=headers)

    run()
