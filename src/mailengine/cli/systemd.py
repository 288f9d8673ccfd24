"""The systemd unit of the daemon: what it may do is what it needs, no more.

Explained in systemd.service(5) and systemd.exec(5); `systemd-analyze security` judges the result.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

NAME = "mailengine.service"
_STOP_MARGIN_SECONDS = (
    40  # above drain_seconds: workers that end late, requests under way, journals to settle
)
_PRIVILEGED_PORTS = 1024

_UNIT = """\
# Written by `mailengine service install`; `systemctl edit mailengine` adds to it.
[Unit]
Description=mailengine, newsletters and transactional mail
Wants=network-online.target
After=network-online.target postgresql.service redis.service

[Service]
Type=notify
NotifyAccess=main
{identity}ExecStart={command}
WatchdogSec=60
Restart=on-failure
RestartSec=2
TimeoutStartSec=900
# The daemon waits {drain:g} s for replies to what is on the wire before it ends.
TimeoutStopSec={stop}
KillMode=mixed
LimitNOFILE=65536
UMask=0077

{hardening}
[Install]
WantedBy={target}
"""
# What an unprivileged manager can enforce (seccomp), and with it every manager.
_BY_SECCOMP = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
"""
_BY_ROOT = """\
ProtectSystem=strict
ProtectHome={home}
ReadWritePaths={data_dir}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
CapabilityBoundingSet={capabilities}
AmbientCapabilities={capabilities}
"""


@dataclass(frozen=True, slots=True)
class Service:
    """What the unit depends on. `run_as` is None for a unit of the user's own manager."""

    data_dir: Path
    config: Path | None
    roles: str
    port: int
    drain_seconds: float
    run_as: str | None


def unit(service: Service) -> str:
    """The text of the unit file."""
    return _UNIT.format(
        identity="" if service.run_as is None else f"User={service.run_as}\n",
        command=" ".join(_quoted(word) for word in _command(service)),
        drain=service.drain_seconds,
        stop=int(service.drain_seconds) + _STOP_MARGIN_SECONDS,
        hardening=_BY_SECCOMP + ("" if service.run_as is None else _of_root(service)),
        target="default.target" if service.run_as is None else "multi-user.target",
    )


def _command(service: Service) -> list[str]:
    words = [sys.executable, "-m", "mailengine", "--data-dir", str(service.data_dir)]
    if service.config is not None:
        words += ["--config", str(service.config)]
    return [*words, "daemon", "--role", service.roles]


def _of_root(service: Service) -> str:
    needed = [service.data_dir, Path(sys.executable), *([service.config] if service.config else [])]
    at_home = any(path.is_relative_to(home) for path in needed for home in ("/home", "/root", "/run/user"))
    return _BY_ROOT.format(
        home="read-only" if at_home else "yes",
        data_dir=_quoted(str(service.data_dir)),
        capabilities="CAP_NET_BIND_SERVICE" if 0 < service.port < _PRIVILEGED_PORTS else "",
    )


def _quoted(word: str) -> str:
    """One word for systemd: specifiers and variables are taken literally (systemd.service(5), Command lines)."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or " " in word or not word else word


def unit_path(*, user: bool) -> Path:
    if not user:
        return Path("/etc/systemd/system") / NAME
    configured = os.environ.get("XDG_CONFIG_HOME")
    return (Path(configured) if configured else Path.home() / ".config") / "systemd" / "user" / NAME
