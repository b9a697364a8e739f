"""Languages of visitors as ISO 639-3 codes (page-view contract, section 7.5)."""

from functools import lru_cache

_LONGEST = 64
_NO_LANGUAGE = frozenset({"und", "mul", "mis", "zxx"})


def code(tag: str) -> str:
    """The ISO 639-3 code of a BCP 47 tag's base language (`en-US` gives `eng`); empty if it names none."""
    return _code(tag) if 0 < len(tag) <= _LONGEST else ""


def preferred(accept_language: str) -> str:
    """The tag that an `Accept-Language` header ranks highest; the first of equals; empty if there is none."""
    best, best_rank = "", 0.0
    for choice in accept_language[:1024].split(","):
        tag, *parameters = (part.strip() for part in choice.split(";"))
        rank = _rank(parameters)
        if tag and tag != "*" and rank > best_rank:
            best, best_rank = tag, rank
    return best


def _rank(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.lower().startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


@lru_cache(1024)
def _code(tag: str) -> str:
    import langcodes  # noqa: PLC0415 - takes 30 ms, and most sites do not collect languages

    try:
        language = langcodes.Language.make(langcodes.Language.get(tag).language)
        found = language.to_alpha3() if language.is_valid() else ""
    except (ValueError, LookupError):
        return ""
    # Codes from qaa to qtz are anybody's.
    return "" if found in _NO_LANGUAGE or "qaa" <= found <= "qtz" else found
