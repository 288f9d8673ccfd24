"""What a worker process is told, by a pipe: settings hold secrets, and arguments and environments can
be read by others."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from mailengine.core.config import Settings, load_settings
from mailengine.domain.delivery.recover import Owner


@dataclass(frozen=True, slots=True)
class Orders:
    """`settings` hold the installation's secret, wherever the supervisor found it."""

    settings: Settings
    owner: Owner


def dump(orders: Orders) -> bytes:
    """One line of JSON, secrets included."""
    told = {
        "settings": orders.settings.model_dump(),
        "node": orders.owner.node,
        "boot": orders.owner.boot,
    }
    return json.dumps(told, default=_plain).encode() + b"\n"


def load(line: bytes) -> Orders:
    """What `dump` wrote; its settings stand above this process's environment, as flags do."""
    told = json.loads(line)
    return Orders(load_settings(**told["settings"]), Owner(told["node"], told["boot"]))


def _plain(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be handed over")
