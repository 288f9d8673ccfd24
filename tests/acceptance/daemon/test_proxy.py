"""nginx before a daemon, once with the file of deploy/ and once set up without care: what doctor makes of each."""

import re
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mailengine.web.seen import ASKING, TOLD
from peers.certificates import Authority
from peers.ports import LOOPBACK, free_port
from peers.processes import spawn, stop
from peers.started import on_free_port
from support.daemon import House

SITE = Path(__file__).parents[3] / "deploy" / "nginx" / "mailengine.conf"
CARELESS = "server {{ listen {port}; location / {{ proxy_pass {daemon}; }} }}"


@contextmanager
def proxies(folder: Path, daemon: str) -> Iterator[tuple[str, str]]:
    """The addresses of our file's site and of the careless one."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if nginx is None:
        pytest.skip("no nginx on this machine")
    Authority.create(folder).server_context("localhost")
    (pem,) = folder.glob("server-*.pem")
    careless = free_port()

    def launch(port: int) -> Any:
        site = re.sub(r"listen \[::\]\S*.*;", "", SITE.read_text())
        site = site.replace("listen 443", f"listen {LOOPBACK}:{port}")
        site = site.replace("listen 80", f"listen {LOOPBACK}:{free_port()}")
        site = site.replace("http://127.0.0.1:8025", daemon).replace("news.example.org", "localhost")
        site = re.sub(r"(ssl_certificate(?:_key)?) \S+;", rf"\1 {pem};", site)
        careful = f"{site}\n{CARELESS.format(port=f'{LOOPBACK}:{careless}', daemon=daemon)}"
        files = "access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; "
        files += "uwsgi_temp_path u; scgi_temp_path s;"
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; error_log stderr;\nevents {{}}\nhttp {{ {files}\n{careful}\n}}\n"
        )
        with (folder / "nginx.log").open("ab") as log:
            command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")]
            return spawn(command, log=log, parent_death=signal.SIGTERM)

    process, port = on_free_port(launch, "nginx", folder / "nginx.log")
    try:
        yield f"https://localhost:{port}", f"http://localhost:{careless}"
    finally:
        stop(process)


def found(house: House, base_url: str, **environment: str) -> dict[str, list[dict[str, Any]]]:
    ran = house.program.run("doctor", "--json", MAILENGINE_WEB_BASE_URL=base_url, **environment)
    findings: dict[str, list[dict[str, Any]]] = {}
    for each in ran.json["findings"]:
        findings.setdefault(each["name"], []).append(each)
    return findings


def test_doctor_says_what_a_proxy_does_not_pass_on(sqlite_dsn: str, tmp_path: Path) -> None:
    house = House(sqlite_dsn, tmp_path / "house")
    house.folder.mkdir()
    with house.daemon("--role", "web") as daemon, proxies(tmp_path, daemon.url()) as (ours, careless):
        said = found(house, ours, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        levels = {name: said[name][0]["level"] for name in ("proxy", "proxy_headers", "private_paths")}
        assert set(levels.values()) == {"ok"}, said
        faults = found(house, careless)["proxy_headers"]
        assert [each["level"] for each in faults] == ["error", "error"]
        assert "Host is not passed on" in faults[0]["words"]
        assert "anybody can be anybody" in faults[1]["words"]
        assert "proxy_headers" not in found(house, daemon.url()), "no proxy is there"
        asked = urllib.request.Request(f"{careless}/livez", headers={ASKING: "1.0"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert TOLD not in answer.headers, "only who has the secret is told"
        assert daemon.end() == 0
