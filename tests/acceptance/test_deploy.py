"""What deploy/ holds is accepted by the tools that read it, and fits the program that is there."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mailengine.web.app import HEALTH, PUBLIC
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
    text = (DEPLOY / "nginx" / "mailengine.conf").read_text()
    (found,) = re.findall(r"location ~ \^/\(([a-z|]+)\)/", text)
    # Those that stand in messages and on other sites are short: one letter. The others are for the operator's people.
    first = {path.split("/")[1] for route in PUBLIC for path in route.paths if "{" in path}
    recipients = {name for name in first if len(name) == 1}
    assert recipients <= set(found.split("|")), "a page for recipients is not in the list of public routes"
    health = {path for route in HEALTH for path in route.paths}
    assert health - CLOSED == {"/livez"}
    for path in CLOSED:
        assert f"location = {path} {{ return 404; }}" in text
        assert path in (DEPLOY / "caddy" / "Caddyfile").read_text()


def test_the_dashboard_asks_for_numbers_that_there_are() -> None:
    source = (ROOT / "src/mailengine/web/metrics.py").read_text()
    known = set(re.findall(r'"(mailengine_\w+)"', source))
    dashboard = json.loads((DEPLOY / "grafana" / "mailengine.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"mailengine_\w+", target["expr"])
    }
    assert asked
    assert {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked} <= known
