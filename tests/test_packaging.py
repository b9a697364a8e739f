"""What Lambda will load: the packaged template and its zip."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of `chalice package`, without third-party code: nothing is downloaded."""
    project = tmp_path_factory.mktemp("project")
    unneeded = shutil.ignore_patterns("__pycache__", "deployments")
    for folder in (".chalice", "chalicelib"):
        shutil.copytree(ROOT / folder, project / folder, ignore=unneeded)
    shutil.copy(ROOT / "app.py", project)
    (project / "requirements.txt").touch()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from chalice.cli import main; sys.exit(main())",
            "package",
            "--stage",
            "prod",
            "out",
        ],
        cwd=project,
        env={"AWS_DEFAULT_REGION": "eu-central-1", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return project / "out"


@pytest.fixture(scope="module")
def resources(packaged: Path) -> dict[str, Any]:
    """The resources of the packaged template."""
    template: dict[str, Any] = json.loads((packaged / "sam.json").read_text(encoding="utf-8"))
    return dict(template["Resources"])


def _names(requirements: list[str]) -> dict[str, str]:
    """Requirements by name."""
    return {re.split(r"[\[<>=~! ]", line)[0]: line for line in requirements}


def test_requirements_are_the_service_extra_without_chalice() -> None:
    """requirements.txt says the same as pyproject.toml; Chalice's packager brings Chalice itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extra = _names(project["project"]["optional-dependencies"]["service"])
    del extra["chalice"]
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert _names([line for line in lines if line and not line.startswith("#")]) == extra


def test_every_function_is_packaged(resources: dict[str, Any]) -> None:
    """The API, the queue workers and the jobs, each loaded by its own module."""
    handlers = {
        name: found["Properties"]["Handler"]
        for name, found in resources.items()
        if found["Type"] == "AWS::Serverless::Function"
    }
    assert handlers == {
        "APIHandler": "app.app",
        "Append": "chalicelib.functions.append.append",
        "AppendImports": "chalicelib.functions.append.append_imports",
        "AskRedactions": "chalicelib.functions.redact.ask_redactions",
        "AskRemovals": "chalicelib.functions.schedules.ask_removals",
        "ExpireExports": "chalicelib.functions.schedules.expire_exports",
        "Export": "chalicelib.functions.export.export",
        "Fold": "chalicelib.functions.fold.fold",
        "PurgeSites": "chalicelib.functions.redact.purge_sites",
        "Redact": "chalicelib.functions.redact.redact",
        "RefreshLists": "chalicelib.functions.schedules.refresh_lists",
        "Remove": "chalicelib.functions.remove.remove",
        "Retain": "chalicelib.functions.redact.retain",
        "RotateSalts": "chalicelib.functions.schedules.rotate_salts",
        "RotateSecrets": "chalicelib.functions.schedules.rotate_secrets",
        "SendReports": "chalicelib.functions.reports.send_reports",
        "Sweep": "chalicelib.functions.schedules.sweep",
        "Walk": "chalicelib.functions.walks.walk",
    }


def test_every_function_has_the_memory_and_time_that_it_needs(resources: dict[str, Any]) -> None:
    """None is left with 128 MB, Chalice's default; the API gives up when the gateway does."""
    functions = {n: f["Properties"] for n, f in resources.items() if f["Type"] == "AWS::Serverless::Function"}
    assert all(found["MemorySize"] >= 512 for found in functions.values())
    assert functions["APIHandler"]["Timeout"] == 29
    assert functions["Append"]["MemorySize"] == functions["AppendImports"]["MemorySize"] == 1024


def test_messages_stay_hidden_for_six_times_their_functions_timeout(resources: dict[str, Any]) -> None:
    """As AWS advises: a message must not come again while it may still be worked on."""
    from infrastructure.storage import Visibility  # noqa: PLC0415

    hidden = Visibility()
    timeouts = {name: found["Properties"].get("Timeout") for name, found in resources.items()}
    assert hidden.ingest == 6 * timeouts["Append"]
    assert hidden.imports == 6 * timeouts["AppendImports"]
    assert hidden.fold == 6 * timeouts["Fold"]
    assert hidden.removals == 6 * timeouts["Remove"]
    assert hidden.exports == 6 * timeouts["Export"]
    assert hidden.redactions == 6 * timeouts["Redact"]
    assert hidden.walks == 6 * timeouts["Walk"]


def test_the_api_is_regional(resources: dict[str, Any]) -> None:
    """An edge-optimised one would put a second CDN behind ours."""
    assert resources["RestAPI"]["Properties"]["EndpointConfiguration"] == "REGIONAL"


def test_the_zip_has_the_service_and_nothing_else(packaged: Path) -> None:
    """All of chalicelib with its data files; no tests, no infrastructure, no client library."""
    with zipfile.ZipFile(packaged / "deployment.zip") as archive:
        names = set(archive.namelist())
    ours = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "chalicelib").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert ours <= names
    assert {name.split("/")[0] for name in names} <= {"app.py", "chalicelib", "chalice"}


def test_the_zip_has_the_script_that_browsers_are_served(packaged: Path) -> None:
    """Byte by byte, where the service looks for it."""
    name = "chalicelib/pageviews/static/count.min.js"
    with zipfile.ZipFile(packaged / "deployment.zip") as archive:
        assert archive.read(name) == (ROOT / name).read_bytes()
