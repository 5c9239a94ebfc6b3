"""What a real Label Studio lets webhooks reach, with the opening that Assay makes."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from plugin.stack import accounts, ssrf
from tests import servers
from tests.servers import LabelStudioServer

pytestmark = pytest.mark.label_studio


@contextmanager
def listener() -> Iterator[tuple[str, list[dict[str, str]]]]:
    received: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(202)
            self.end_headers()

        def log_request(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/webhooks/label-studio", received
        server.shutdown()


@pytest.fixture
def api(label_studio_server: LabelStudioServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=label_studio_server.url, timeout=60) as client:
        access = accounts.access_token(label_studio_server.url, label_studio_server.token)
        client.headers["Authorization"] = f"Bearer {access}"
        yield client


@pytest.fixture
def project(api: httpx.Client) -> int:
    return int(api.post("/api/projects/", json={"title": "SSRF"}).raise_for_status().json()["id"])


REFUSED_BY_THE_INSTALLED_ONE = """
import ast, importlib.util, pathlib
package = importlib.util.find_spec("label_studio").submodule_search_locations[0]
tree = ast.parse((pathlib.Path(package) / "core" / "utils" / "io.py").read_text())
given = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
(networks,) = [node.value for node in given if ast.unparse(node.targets[0]) == "default_banned_subnets"]
print(*ast.literal_eval(networks), sep="\\n")
"""


def test_we_refuse_what_the_installed_label_studio_refuses() -> None:
    command = [str(servers.label_studio_python()), "-c", REFUSED_BY_THE_INSTALLED_ONE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == sorted(ssrf.REFUSED_BY_DEFAULT)


def make_webhook(api: httpx.Client, project: int, url: str) -> httpx.Response:
    headers = {"X-Assay-Secret": "from a test"}
    return api.post("/api/webhooks/", json={"project": project, "url": url, "headers": headers})


def test_a_webhook_reaches_the_loopback_address(api: httpx.Client, project: int) -> None:
    with listener() as (url, received):
        made = make_webhook(api, project, url)
        assert made.status_code == 201, made.text
        api.patch(f"/api/projects/{project}/", json={"title": "SSRF, changed"}).raise_for_status()
    assert [headers["x-assay-secret"] for headers in received] == ["from a test"]


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.2:80/", "http://127.1.0.1/", "http://10.0.0.1/", "http://192.168.1.1/"),
        *("http://169.254.169.254/latest/meta-data/", "http://172.17.0.1/", "http://0.0.0.0:8041/"),
    ],
)
def test_every_other_refused_address_stays_refused(api: httpx.Client, project: int, url: str) -> None:
    answer = make_webhook(api, project, url)
    assert answer.status_code == 403, f"{url}: {answer.status_code} {answer.text}"
