"""The settings file: read with where each value comes from, and changed without losing its comments."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

import tomlkit
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from mailengine.core.config import FILE_NAME, Settings, load_settings, setting_fields, variable_of
from mailengine.core.errors import InvalidInput, Unavailable

_HIDDEN = "(set)"


def origin_of(name: str, file: Path | None, flags: frozenset[str]) -> str:
    """Where the value of a setting comes from, in the order in which it is looked for."""
    variable = variable_of(name)
    if name in flags:
        return "option"
    if variable in os.environ:
        return variable
    if f"{variable}_FILE" in os.environ:
        return f"{variable}_FILE"
    if file is not None and _get(tomllib.loads(file.read_text()), name) is not None:
        return str(file)
    return "default"


def value_of(settings: Settings, name: str) -> Any:
    """The value as it may be shown: secrets only as set or not."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    if isinstance(value, SecretStr):
        return _HIDDEN
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def change(file: Path, name: str, text: str | None, data_dir: Path) -> Any:
    """Set a value in the file, or with None take it out; returns what is there now. The file is replaced at once, and
    only when the program accepts all of it; raises InvalidInput, Unavailable."""
    field = setting_fields().get(name)
    if field is None:
        raise InvalidInput(f"there is no setting {name!r}; `mailengine config show` lists them")
    if name == "data_dir" and file == data_dir / FILE_NAME:
        raise InvalidInput("data_dir is where this file lies; give it by --data-dir or MAILENGINE_DATA_DIR")
    document = tomlkit.parse(file.read_text()) if file.exists() else tomlkit.document()
    value = None if text is None else _typed(text, field)
    _put(document, name, value)
    _replace(file, tomlkit.dumps(document), data_dir)
    return _HIDDEN if value is not None and _is(field, SecretStr) else value


def _put(document: tomlkit.TOMLDocument, name: str, value: Any) -> None:
    section, _, key = name.rpartition(".")
    if section and section not in document:
        document[section] = tomlkit.table()
    table: Any = document[section] if section else document
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _typed(text: str, field: FieldInfo) -> Any:
    """As TOML writes it: numbers and truth values bare, several values as an array; what does not fit stays text, and
    is refused by whoever reads it."""
    if _is(field, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    if any(_is(field, kind) for kind in (bool, int, float)):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
    return text


def _is(field: FieldInfo, kind: type) -> bool:
    choices = get_args(field.annotation) if NoneType in get_args(field.annotation) else (field.annotation,)
    return any((get_origin(choice) or choice) is kind for choice in choices)


def _replace(file: Path, text: str, data_dir: Path) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # it may hold secrets
        with os.fdopen(descriptor, "w") as written:
            written.write(text)
        _accept(draft, data_dir)
        draft.replace(file)
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def _accept(draft: Path, data_dir: Path) -> None:
    """Raise InvalidInput unless the program could start with it."""
    former = os.environ.get("MAILENGINE_CONFIG")
    os.environ["MAILENGINE_CONFIG"] = str(draft)
    try:
        load_settings(data_dir=data_dir)
    finally:
        if former is None:
            del os.environ["MAILENGINE_CONFIG"]
        else:
            os.environ["MAILENGINE_CONFIG"] = former


def example() -> str:
    """A settings file in which every setting stands with what it is, commented out with its default."""
    lines = [
        "# Every setting of mailengine with its default. Take the # away to set one.",
        "# The environment stands above this file: MAILENGINE_WEB_PORT is web.port.",
    ]
    section = ""
    for name, field in setting_fields().items():
        head, _, key = name.rpartition(".")
        if head != section:
            section = head
            lines += ["", f"[{section}]"]
        elif not section:
            lines.append("")
        lines += [f"# {field.description}", f"# {key} = {_as_toml(field)}"]
    return "\n".join(lines) + "\n"


def _as_toml(field: FieldInfo) -> str:
    default = field.default
    if isinstance(default, tuple):
        default = list(default)
    if default is None or field.default_factory is not None:
        return '""'
    return str(tomlkit.item(default).as_string())


def _get(document: Mapping[str, Any], name: str) -> Any:
    value: Any = document
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
