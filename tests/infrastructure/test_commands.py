"""The operator's commands, as the command line offers them."""

import pytest
from click.testing import CliRunner

from countless.cli import main
from infrastructure import storage
from tests.conftest import World


@pytest.mark.parametrize("name", ["serve", "aws", "redrive"])
def test_the_command_line_offers_them_in_a_checkout(name: str) -> None:
    """They are in the list, and each explains itself."""
    runner = CliRunner()
    assert f"  {name} " in runner.invoke(main, ["--help"]).output
    help_text = runner.invoke(main, [name, "--help"])
    assert help_text.exit_code == 0
    assert "Usage: main " in help_text.output


def test_redrive_moves_the_parked_messages_of_the_named_queues(world: World) -> None:
    """Only those, and it says how many."""
    sqs = world.session.client("sqs")
    environment = storage.create(world.session, prefix="redriven")
    for parked in ("COUNTLESS_PARKED_QUEUE", "COUNTLESS_PARKED_FOLD_QUEUE"):
        order = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if "FOLD" in parked else {}
        sqs.send_message(QueueUrl=environment[parked], MessageBody="again", **order)  # type: ignore[arg-type]
    done = CliRunner().invoke(main, ["redrive", "ingest", "imports"], env=environment)
    assert done.exit_code == 0, done.output
    assert done.output == "ingest: 1 messages moved\nimports: 0 messages moved\n"
    found = sqs.receive_message(QueueUrl=environment["COUNTLESS_INGEST_QUEUE"])["Messages"]
    assert [message["Body"] for message in found] == ["again"]
    assert "Messages" in sqs.receive_message(QueueUrl=environment["COUNTLESS_PARKED_FOLD_QUEUE"])


def test_redrive_says_which_variables_it_misses(world: World) -> None:
    """An operator reads what to set."""
    assert world
    done = CliRunner().invoke(main, ["redrive", "fold"], env=dict.fromkeys(world.environment))
    assert done.exit_code == 1
    assert "COUNTLESS_PARKED_FOLD_QUEUE and COUNTLESS_FOLD_QUEUE" in done.output
