"""Makes the lists of names that people are shown: of countries, regions and languages, in English.

    python -m infrastructure.naming --places CLDR --regions CLDR --languages CLDR --registry IANA

reads `territories.json` and `languages.json` of npm's `cldr-localenames-full`, `subdivisions/en/en.json` of its
`cldr-subdivisions-full` (both by the Unicode Consortium), and `registry.json` of its `language-subtag-registry`
(IANA's list, RFC 5646, section 3.1), and writes `places.txt` and `languages.txt` into `chalicelib/pageviews/data`.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import langcodes

DATA = Path(__file__).parent.parent / "chalicelib" / "pageviews" / "data"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def places(territories: Mapping[str, str], regions: Mapping[str, str]) -> dict[str, str]:
    """Names by ISO 3166 code: of countries (`NL`), and of regions (`NL-NH`)."""
    found = {code: name for code, name in territories.items() if len(code) == 2 and code.isalpha() and code != "ZZ"}
    # CLDR writes `nlnh`, and in capitals what is a country as well.
    named = {f"{code[:2]}-{code[2:]}".upper(): name for code, name in regions.items() if len(code) > 2}
    return dict(sorted({**found, **named}.items()))


def languages(common: Mapping[str, str], registry: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Names by ISO 639-3 code: CLDR's where it has one, else the first that IANA lists."""
    found = {
        _alpha3(record["Subtag"]): str(record["Description"][0])
        for record in registry
        if record["Type"] == "language" and ".." not in record["Subtag"] and "Deprecated" not in record
    }
    found |= {_alpha3(tag): name for tag, name in common.items() if tag.isalpha() and len(tag) in (2, 3)}
    return {code: found[code] for code in sorted(found) if not "qaa" <= code <= "qtz" and code != "und"}


def _alpha3(tag: str) -> str:
    return langcodes.Language.make(tag).to_alpha3()


def text(names: Mapping[str, str]) -> str:
    """A list as it is kept: code and name, a line each."""
    return "".join(f"{code} {name}\n" for code, name in names.items())


def _names(file: Path) -> dict[str, str]:
    """The names of a CLDR file: its innermost object, without alternative names."""
    found: Any = json.loads(file.read_text(encoding="utf-8"))
    while not all(isinstance(value, str) for value in found.values()):
        found = next(value for key, value in found.items() if key != "identity")
    return {code: name for code, name in found.items() if "-alt-" not in code}


@click.command()
@click.option("--places", "territories", type=_FILE, required=True, help="CLDR's territories.json for English.")
@click.option("--regions", "subdivisions", type=_FILE, required=True, help="CLDR's subdivisions for English.")
@click.option("--languages", "common", type=_FILE, required=True, help="CLDR's languages.json for English.")
@click.option("--registry", type=_FILE, required=True, help="IANA's language subtags as JSON.")
def main(territories: Path, subdivisions: Path, common: Path, registry: Path) -> None:
    """Writes places.txt and languages.txt."""
    (DATA / "places.txt").write_text(text(places(_names(territories), _names(subdivisions))), encoding="utf-8")
    found = languages(_names(common), json.loads(registry.read_text(encoding="utf-8")))
    (DATA / "languages.txt").write_text(text(found), encoding="utf-8")


if __name__ == "__main__":
    main()
