"""Structured logs on stderr and, of a daemon, in a file: events with fields, addresses redacted, secrets never."""

import logging
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from mailengine.core.config import LogSettings, Settings
from mailengine.core.log_file import LogFile

_ADDRESS = re.compile(r"([^\s<>@\"',;:]{1,64})@([^\s<>@\"',;:]{1,255})")


def redact(text: str) -> str:
    """`ann.lee@example.org` as `a***@example.org`: enough to recognise, not to collect."""
    return _ADDRESS.sub(lambda found: f"{found[1][0]}***@{found[2]}", text)


def _redact_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}


class _Unfailing:
    """Standard error, where a line that cannot be written (a full disk, a reader that is gone) is lost and no more:
    whoever reports a trouble must not die of it."""

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def configure(settings: LogSettings, file: LogFile | None = None) -> None:
    """Set up structlog for this process; called once by a face."""
    renderer = (
        structlog.processors.JSONRenderer()
        if settings.json_lines
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redact_fields,
            *([file] if file is not None else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, _Unfailing())),
        cache_logger_on_first_use=False,
    )


def daemon_log(settings: Settings) -> Path:
    """Where the daemon's last events are, one JSON object a line; the ones before are beside it with `.1`."""
    return settings.data_dir / "logs" / "daemon.log"


def daemon_log_file(settings: Settings, *, turns: bool) -> LogFile | None:
    """The file as the daemon's processes write it; one of them `turns` it over. None where there is to be none."""
    if settings.log.file_megabytes == 0:
        return None
    return LogFile(daemon_log(settings), most_bytes=settings.log.file_megabytes << 20, turns=turns)


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose events carry the name of the part that wrote them."""
    logger: FilteringBoundLogger = structlog.get_logger(part=name)
    return logger
