"""What databases of countries may be shipped."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from chalicelib.pageviews import geo
from infrastructure import countries
from infrastructure.countries import OLDEST, Unfit, install
from tests.mmdb import database

NOW = 1_800_000_000
DUTCH = {"country_code": "NL"}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the service looks."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setattr(countries, "KNOWN", {4: ("8.8.8.8",), 6: ("2001:4860:4860::8888",)})
    geo.countries.cache_clear()
    geo.locator.cache_clear()
    return folder


def _made(path: Path, record: object = DUTCH, version: int = 4, made: int = NOW) -> Path:
    return Path(database(path, record, version, made))


def test_fit_databases_are_what_the_service_asks(tmp_path: Path, package: Path) -> None:
    """Each kind of address has its own; one that is not given any more goes."""
    four, six = _made(tmp_path / "a.mmdb"), _made(tmp_path / "b.mmdb", {"country_code": "DE"}, 6)
    install([six, four], package, NOW)
    assert [geo.countries(package)(address) for address in ("8.8.8.8", "2001:db8::1")] == ["NL", "DE"]
    install([six], package, NOW)
    assert [path.name for path in package.iterdir()] == [geo.SHIPPED[1]]


def test_unfit_files_change_nothing(tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is old, large, no database, without countries, or twice the same."""
    fit = _made(tmp_path / "fit.mmdb")
    install([fit], package, NOW)
    kept = (package / geo.SHIPPED[0]).read_bytes()
    text = tmp_path / "text.mmdb"
    text.write_text("no database")
    refused = {
        "more than a year": [_made(tmp_path / "old.mmdb", made=NOW - OLDEST - 1)],
        "no country of 8.8.8.8": [_made(tmp_path / "asn.mmdb", {"asn": "AS1"})],
        "text.mmdb": [fit, text],
        "same kind": [fit, _made(tmp_path / "twice.mmdb", {"country_code": "BE"})],
    }
    for reason, files in refused.items():
        with pytest.raises(Unfit, match=reason):
            install(files, package, NOW)
    monkeypatch.setattr(countries, "LARGEST", 10)
    with pytest.raises(Unfit, match="more than 10 bytes"):
        install([fit], package, NOW)
    assert (package / geo.SHIPPED[0]).read_bytes() == kept


def test_the_command_says_what_is_wrong(tmp_path: Path, package: Path) -> None:
    """In a sentence, not with a stack."""
    assert package
    text = tmp_path / "text.mmdb"
    text.write_text("no database")
    said = CliRunner().invoke(countries.main, [str(text)])
    assert (said.exit_code, "Error: " in said.output, "text.mmdb" in said.output) == (1, True, True)
