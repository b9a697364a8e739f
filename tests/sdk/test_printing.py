"""What is printed cannot command a terminal, and what is harmless stays as it is."""

import io
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countless import printing
from countless.printing import say, shown


def is_harmless(text: str) -> bool:
    """Whether a terminal shows all of it, and does nothing else with it."""
    return all(
        unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} or character in "\u200c\u200d"
        for character in text
    )


@given(st.text(st.characters()) | st.text(st.sampled_from("\x1b[]m\x07\x9b\x7f\u202e\u2028\r\n\ud800 a\\")))
def test_whatever_is_shown_is_one_harmless_line(text: str) -> None:
    """Texts that are harmless, and those that were shown already, stay as they are."""
    assert is_harmless(shown(text))
    assert shown(shown(text)) == shown(text)
    if is_harmless(text):
        assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/a\x1b[2Jb", r"/a\x1b[2Jb"),
        ("\x9b31m", r"\x9b31m"),
        ("one\r\ntwo\t\x7f", r"one\r\ntwo\t\x7f"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("\u2066x\u2069\u200f\ufeff", r"\u2066x\u2069\u200f\ufeff"),
        ("a\u2028b\u2029c\x85", r"a\u2028b\u2029c\x85"),
        ("half \ud83d", r"half \ud83d"),
        ("\U000e0041", r"\U000e0041"),
        ("C:\\x1b", "C:\\x1b"),
        ("日本 نمی\u200cشد 👩\u200d💻 ñ", "日本 نمی\u200cشد 👩\u200d💻 ñ"),
        (7, "7"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: object, said: str) -> None:
    assert shown(text) == said


def test_a_line_is_a_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\nb", "c")
    say("d\re", err=True)
    assert tuple(capsys.readouterr()) == ("a\\nb\nc\n", "d\\re\n")


def test_what_a_terminal_has_no_letters_for_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the locale says ASCII, or Latin."""
    for encoding, said in (("ascii", b"\\xe9 \\u2192\n"), ("latin-1", b"\xe9 \\u2192\n"), ("utf-8", "é →\n".encode())):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
        say("é →")
        sys.stdout.flush()
        assert raw.getvalue() == said


def _fail() -> None:
    raise ValueError("\x1b[31m\nforged")


def test_what_nobody_expected_is_said_as_safely(capsys: pytest.CaptureFixture[str]) -> None:
    """An error's words may be a stranger's."""
    with pytest.raises(ValueError, match="forged") as found:
        _fail()
    printing.crash(ValueError, found.value, found.value.__traceback__)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Traceback (most recent call last):"
    assert all(map(is_harmless, said))
    assert any(r"\x1b[31m" in line for line in said)
