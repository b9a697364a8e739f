"""`countless audit` tells streams whose figures are what their log says from those whose are not."""

import secrets

import pytest
from click.testing import CliRunner

from chalicelib import wiring
from chalicelib.aws.accounts import Created
from chalicelib.core.events import Hit
from chalicelib.core.manifest import unpack
from chalicelib.core.messages import Message
from infrastructure.audit import audit, rebuild


def _counted(owner: Created, hits: int) -> str:
    """Counts hits of an account's site, and folds them; the site's stream."""
    now, stream = int(wiring.now()), owner.site.stream
    views = tuple(Hit(f"/{n}", "", False, "", "o", "", "", "", "", "", 0, now, 0, 0) for n in range(hits))
    message = Message(id=secrets.randbits(63), accepted=now, stream=stream, derived=False, hits=views)
    assert wiring.appender().append(stream, [message]).refused == {}
    wiring.folder().fold(stream)
    return stream


def test_a_sound_stream_is_said_to_be_so(owner: Created) -> None:
    """One line with events, segments and watermark, and success."""
    stream = _counted(owner, 3)
    result = CliRunner().invoke(audit, [stream])
    assert result.output == f"{stream}: 3 events in 1 segments, watermark 1: ok\n"
    assert result.exit_code == 0


def test_every_site_is_audited_unless_some_are_named(owner: Created) -> None:
    """A site without any hits is sound, too."""
    result = CliRunner().invoke(audit, [])
    assert f"{owner.site.stream}: 0 events in 0 segments, watermark 0: ok" in result.output.splitlines()


@pytest.mark.parametrize("lost", ["a segment", "a part"])
def test_what_differs_is_listed_and_fails(owner: Created, lost: str) -> None:
    """Whichever of the two has lost something."""
    stream = _counted(owner, 3)
    if lost == "a segment":
        key = {"stream": {"S": stream}, "number": {"N": "1"}}
        wiring.log()._client.delete_item(TableName=wiring.settings().log_table, Key=key)
    else:
        found = wiring.rollups().manifest(stream)
        assert found is not None
        for name in unpack(*found).parts():
            part = {"pk": {"S": f"{stream}#parts"}, "sk": {"S": name}}
            wiring.rollups()._client.delete_item(TableName=wiring.settings().rollups_table, Key=part)
    result = CliRunner().invoke(audit, [stream])
    assert result.exit_code == 1
    assert ": 1 differences\n  " in result.output
    mended = CliRunner().invoke(rebuild, [stream])
    if lost == "a segment":
        assert "rebuild" not in result.output
        assert (mended.exit_code, mended.output) == (
            1,
            f"{stream}: the log ends at 0, before the watermark 1\n",
        )
        return
    assert result.output.endswith(f"  the log is sound: `countless rebuild {stream}` counts anew from it\n")
    assert (mended.exit_code, mended.output) == (
        0,
        f"{stream}: counted anew from 1 segments\n{stream}: 3 events in 1 segments, watermark 1: ok\n",
    )
    assert CliRunner().invoke(audit, [stream]).exit_code == 0


def test_a_stream_that_no_site_has_is_an_error(owner: Created) -> None:
    """A slip of the pen must not look like success."""
    assert owner
    result = CliRunner().invoke(audit, ["nobody/pageviews/1"])
    assert result.exit_code == 2
    assert "no site has the stream nobody/pageviews/1" in result.output
