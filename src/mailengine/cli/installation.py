"""What `init` does to the machine: data directory, secret, schema. Each step can be done again."""

from sqlalchemy.engine import make_url

from mailengine.core.config import Settings
from mailengine.core.errors import Unavailable
from mailengine.core.scope import InstanceScope
from mailengine.core.secrets import load_keyring
from mailengine.db.engine import normalise_url, sqlite_path
from mailengine.db.unit import Database, translated_errors
from mailengine.domain.accounts.tenants import list_tenants
from mailengine.migrations.run import current_revision, upgrade
from mailengine.models import Tenant
from mailengine.runtime import make_data_dir, secret_path


def database_shown(settings: Settings) -> str:
    """Where the database is, for people: without its password."""
    path = sqlite_path(settings.database_url)
    return str(path) if path else make_url(settings.database_url).render_as_string(hide_password=True)


def check_secret(settings: Settings, *, needed: bool) -> None:
    """Raise when the secret cannot be used, or when it is `needed` and gone."""
    configured = settings.secret_key.get_secret_value() if settings.secret_key else None
    path = secret_path(settings)
    if configured is not None or path.exists():
        load_keyring(path, configured)
    elif needed:
        raise Unavailable(
            f"{path} is missing, but the database holds tenants whose passwords it seals: "
            "restore it from a backup, or set MAILENGINE_SECRET_KEY to the secret of this installation"
        )


async def tenants_found(settings: Settings, instance: InstanceScope) -> list[Tenant]:
    """Migrate a database that is there and list its tenants; nothing is made where there is none."""
    path = sqlite_path(normalise_url(settings.database_url))
    if path is not None and not path.exists():
        return []
    db = Database(settings.database_url, settings.database)
    try:
        with translated_errors():
            async with db.reader.connect() as connection:
                revision = await current_revision(connection)
        if revision is None:
            return []
        await upgrade(settings.database_url, settings.database)
        async with db.read(instance) as tx:
            return list((await list_tenants(tx, instance)).items)
    finally:
        await db.close()


async def prepare(settings: Settings) -> str:
    """Make the data directory, the secret and the schema; returns the schema's revision."""
    make_data_dir(settings)
    return await upgrade(settings.database_url, settings.database)
