"""An identity provider that answers with whatever ID token a test gives it: what a real one never says."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


class LyingProvider:
    """`token_answer` is what its token endpoint says, `user_info` what it tells of whoever has the access token;
    `asked` is the last form that came."""

    def __init__(self, keys: list[dict[str, Any]]) -> None:
        self.token_answer: dict[str, Any] = {}
        self.user_info: dict[str, Any] = {}
        self.asked: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say({"/jwks": {"keys": keys}, "/user": outer.user_info}.get(self.path, outer.document))

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                outer.asked = {name: values[0] for name, values in form.items()}
                self._say(outer.token_answer)

            def _say(self, answer: dict[str, Any]) -> None:
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def document(self) -> dict[str, str]:
        """Its discovery document."""
        ends = {"authorization_endpoint": "/go", "token_endpoint": "/token", "jwks_uri": "/jwks"}
        found = {name: self.issuer + path for name, path in {**ends, "userinfo_endpoint": "/user"}.items()}
        return {"issuer": self.issuer, **found}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
