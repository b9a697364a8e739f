"""The documentation's shell examples, as printed, against a running service."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.stack import Service, environment, until

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are for curl, which is not here")

SENDING_FROM_A_BACKEND = r"""
    curl -X POST  "$api/count" \
        --data '{"no_sessions": true, "hits": [{"path": "/one"}, {"path": "/two"}]}'
"""
"""From "Sending pageviews from a backend"."""

HEADER = """
set -e
api="$URL/api/v0"
curl() {
    command curl --silent --show-error --fail-with-body "$@" \\
        -H 'Content-Type: application/json' -H "Authorization: Bearer $TOKEN"
}
"""
"""What the examples include first: where the API is, and the headers that "Authentication" asks for."""

WHO_AM_I = r"""
    curl https://example.goatcounter.com/api/v0/me \
        -H 'Content-Type: application/json' \
        -H 'Authorization: Bearer 2q2snk7clgqs63tr4xc5bwseajlw88qzilr8fq157jz3qxwwmz5'
"""
"""From "Authentication"; the key and URL are to be replaced with one's own."""


def _run(script: str, service: Service, directory: Path) -> str:
    """What a shell prints for a script that succeeds."""
    file = directory / "example.sh"
    file.write_text(script, encoding="utf-8")
    found = subprocess.run(
        ["sh", str(file)],
        capture_output=True,
        text=True,
        env={**environment(), "URL": service.url, "TOKEN": service.token},
        timeout=30,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def test_page_views_sent_from_a_backend_are_counted(service: Service, tmp_path: Path) -> None:
    """Two hits, two visits, within ten seconds."""
    paths = {"path_by_name": "true", "include_paths": "/one,/two"}
    before, before_these = service.total(), service.total(**paths)
    assert _run(HEADER + SENDING_FROM_A_BACKEND, service, tmp_path) == '{\n  "status": "ok"\n}\n'
    until("two visits are seen", lambda: service.total() == before + 2, patience=10)
    assert service.total(**paths) == before_these + 2


def test_authentication_as_documented(service: Service, tmp_path: Path) -> None:
    """With key and URL replaced, as the text says."""
    script = WHO_AM_I.replace("https://example.goatcounter.com", service.url)
    script = script.replace("2q2snk7clgqs63tr4xc5bwseajlw88qzilr8fq157jz3qxwwmz5", service.token)
    assert '"permissions": 126' in _run(script, service, tmp_path)
