"""The documentation's shell examples, as printed, against a running service."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.people import People, Person
from tests.clients.stack import Service, environment, until

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are for curl, which is not here")
_with_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="the example is for jq too, which is not here")

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

EXPORTING = r"""
    # Start a new export, get ID from response object.
    id=$(curl -X POST "$api/export" | jq .id)

    # The export is started in the background, so we'll need to wait until it's finished.
    while :; do
        sleep 1

        finished=$(curl "$api/export/$id" | jq .finished_at)
        if [ "$finished" != "null" ]; then
            # Download the export.
            curl "$api/export/$id/download" | gzip -d

            break
        fi
    done
"""
"""From "Exporting to CSV"."""

EXPORTING_MORE = r"""
    # Get cursor
    start=$(curl "$api/export/$id" | jq .last_hit_id)

    # Start new export starting from the cursor.
    id=$(curl -X POST "$api/export" --data "{\"start_from_hit_id\":$start}" | jq .id)
"""
"""From the same, further down."""

WHO_AM_I = r"""
    curl https://example.goatcounter.com/api/v0/me \
        -H 'Content-Type: application/json' \
        -H 'Authorization: Bearer 2q2snk7clgqs63tr4xc5bwseajlw88qzilr8fq157jz3qxwwmz5'
"""
"""From "Authentication"; the key and URL are to be replaced with one's own."""


def _run(script: str, service: Service, directory: Path, **variables: str) -> str:
    """What a shell prints for a script that succeeds."""
    file = directory / "example.sh"
    file.write_text(script, encoding="utf-8")
    found = subprocess.run(
        ["sh", str(file)],
        capture_output=True,
        text=True,
        env={**environment(), "URL": service.url, "TOKEN": service.token, **variables},
        timeout=30,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def test_page_views_sent_from_a_backend_are_counted(service: Service, tmp_path: Path) -> None:
    """Two hits, two visits, within ten seconds."""
    paths = {"path_by_name": "true", "include_paths": "/one,/two"}
    service.views_arrived()
    before, before_these = service.total(), service.total(**paths)
    assert _run(HEADER + SENDING_FROM_A_BACKEND, service, tmp_path) == '{\n  "status": "ok"\n}\n'
    until("two visits are seen", lambda: service.total() == before + 2, patience=10)
    assert service.total(**paths) == before_these + 2


def test_authentication_as_documented(service: Service, tmp_path: Path) -> None:
    """With key and URL replaced, as the text says."""
    script = WHO_AM_I.replace("https://example.goatcounter.com", service.url)
    script = script.replace("2q2snk7clgqs63tr4xc5bwseajlw88qzilr8fq157jz3qxwwmz5", service.token)
    assert '"permissions": 126' in _run(script, service, tmp_path)


@pytest.fixture
def exporting(people: People) -> Person:
    """The owner of a site that keeps individual page views, found by its code, where exports are not limited."""
    return people.settle()


def _export(script: str, person: Person, directory: Path, **variables: str) -> list[str]:
    """What a script prints about this person's site, line by line up to the first comma."""
    url = f"{person.url}/s/{person.made['site']['code']}"
    found = _run(HEADER + script, person.people.service, directory, URL=url, TOKEN=person.token, **variables)
    return [line.partition(",")[0] for line in found.splitlines()]


@_with_jq
def test_page_views_are_exported_and_then_what_came_later(exporting: Person, tmp_path: Path) -> None:
    """Both examples, word by word; behind the second, the loop of the first once more."""
    assert exporting.count({"path": "/one"}, {"path": "/two"}, no_sessions=True).status == 202
    exporting.sees({"/one": 1, "/two": 1})
    *found, number = _export(EXPORTING + "echo $id", exporting, tmp_path)
    assert found == ["2Path", "/one", "/two"]
    assert exporting.count({"path": "/three"}, {"path": "/one"}, no_sessions=True).status == 202
    exporting.sees({"/one": 2, "/two": 1, "/three": 1})
    loop = EXPORTING[EXPORTING.index("    # The export is started") :]
    assert _export(EXPORTING_MORE + loop, exporting, tmp_path, id=number) == ["2Path", "/three", "/one"]
