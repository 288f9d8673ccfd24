"""What deploy/ holds is accepted by the tools that read it, and fits the program that is there."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.routes import HTTPRoute

from mailengine.web import manifest
from mailengine.web.routes import HEALTH, routes
from peers.certificates import Authority

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
CLOSED = {"/metrics", "/health", "/readyz"}


def test_the_compose_file_is_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    text = COMPOSE.read_text()
    for profile in ("dev", "postgres", "redis", "roles"):
        assert f'"{profile}"' in text


def test_the_dockerfile_is_one() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER [1-9]\d*$", text, re.M)
    assert "HEALTHCHECK" in text
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}")
    if hadolint is None:
        pytest.skip("no hadolint on this machine")
    # Versions of Debian's packages and of pip's are not pinned: a rebuild is meant to bring what is mended.
    done = subprocess.run(
        [hadolint, "--ignore", "DL3008", "--ignore", "DL3042", str(DEPLOY / "Dockerfile")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_image_is_built_from_is_not_ignored() -> None:
    kept = [
        line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"
    ]
    assert {"src", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "examples"} <= set(kept)
    assert all((ROOT / name).exists() for name in kept)


@pytest.mark.parametrize("name", ["mailengine.conf", "container.conf"])
def test_nginx_takes_the_file(tmp_path: Path, name: str) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if nginx is None:
        pytest.skip("no nginx on this machine")
    text = (DEPLOY / "nginx" / name).read_text().replace("http://web:8025", "http://127.0.0.1:8025")
    if name == "mailengine.conf":
        Authority.create(tmp_path).server_context("news.example.org")
        (pem,) = tmp_path.glob("server-*.pem")
        text = re.sub(r"(ssl_certificate) \S+;", rf"\1 {pem};", text)
        text = re.sub(r"(ssl_certificate_key) \S+;", rf"\1 {pem};", text)
        text = f"events {{}}\nhttp {{\n{text}\n}}\n"
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid;\nerror_log stderr;\n{text}")
    done = subprocess.run(
        [nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_public_and_closed_routes_are_those_of_the_program() -> None:
    nginx, caddy = ((DEPLOY / name).read_text() for name in ("nginx/mailengine.conf", "caddy/Caddyfile"))
    (listed,) = re.findall(r"location ~ \^/\(([a-z|]+)\)/", nginx)
    public = set(listed.split("|"))
    for path, guarded in _paths():
        first = path.split("/")[1]
        if guarded:
            assert first not in public, f"{path} is for those who are logged in, and open to everybody"
        elif len(first) == 1:  # what stands in messages and on other sites is short
            assert first in public, f"{path} is for recipients, and not in the list of public routes"
    assert {name for name in public if len(name) > 1} == {"static"}
    (in_caddy,) = re.findall(r"not path ((?:/\S+ )+/livez)$", caddy, re.M)
    assert set(in_caddy.split()) == {*(f"/{name}/*" for name in public), "/livez"}
    named = set(re.findall(r"`/(\w+)/…`", (ROOT / "docs/reverse-proxy.md").read_text()))
    assert public <= named
    health = {path for route in HEALTH for path in route.paths}
    assert health - CLOSED == {"/livez"}
    for path in CLOSED:
        assert f"location = {path} {{ return 404; }}" in nginx
        assert path in caddy


def _paths() -> Iterator[tuple[str, bool]]:
    """Every address of the program, and whether it wants a login or a key."""
    for route in routes(manifest.load()).routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                yield route.path_format, bool(handler.resolve_guards())


def test_the_dashboard_asks_for_all_numbers_that_there_are_and_no_others() -> None:
    source = (ROOT / "src/mailengine/web/metrics.py").read_text()
    known = set(re.findall(r'"(mailengine_\w+)"', source))
    dashboard = json.loads((DEPLOY / "grafana" / "mailengine.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"mailengine_\w+", target["expr"])
    }
    assert {re.sub(r"_(total|bucket|sum|count|info)$", "", name) for name in asked} == known
