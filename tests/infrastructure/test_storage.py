"""The tables, queues and bucket: one definition, whoever makes them."""

import dataclasses
import json

import boto3
import pytest

from chalicelib import settings
from infrastructure import storage
from tests.conftest import World


def test_everything_that_holds_figures_outlives_its_stack() -> None:
    """Only the limiter's table, whose items live for minutes, goes with the stack."""
    gone = [name for name, found in storage.resources().items() if found["DeletionPolicy"] != "Retain"]
    assert gone == ["LimitsTable"]


def test_every_queue_parks_what_fails_in_a_queue_of_its_own_kind() -> None:
    """Each working queue redrives to its dead-letter queue, FIFO to FIFO."""
    queues = {n: r["Properties"] for n, r in storage.resources().items() if r["Type"] == "AWS::SQS::Queue"}
    working = {name: queue for name, queue in queues.items() if "RedrivePolicy" in queue}
    assert set(working) == {
        f"{name}Queue" for name in ("Ingest", "Imports", "Fold", "Removals", "Exports", "Redactions", "Walks")
    }
    for queue in working.values():
        parked = queues[queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]
        assert parked.get("FifoQueue") == queue.get("FifoQueue")


def test_unnamed_resources_leave_naming_to_cloudformation() -> None:
    """A stack deployed anew does not collide with what a deleted one left."""
    names = {"TableName", "QueueName", "BucketName"}
    assert not any(names & set(found["Properties"]) for found in storage.resources().values())


def test_the_environment_feeds_every_setting_that_names_a_resource(world: World) -> None:
    """What `create` returns fills all settings that have a table, queue or bucket in their name."""
    read = dataclasses.asdict(settings.read(world.environment))
    wanted = [name for name in read if name.endswith(("_table", "_queue", "bucket"))]
    assert len(wanted) == 18
    assert all(read[name] for name in wanted)


def test_creating_twice_keeps_what_is_there(moto_tables: World) -> None:
    """A service that starts again finds its tables, queues and their contents."""
    world = moto_tables
    dynamodb, sqs = world.client("dynamodb"), world.client("sqs")
    first = storage.create(world.session, prefix="twice", visibility=storage.Visibility.all(1))
    dynamodb.put_item(TableName="twice-limits", Item={"pk": {"S": "kept"}})
    sqs.send_message(QueueUrl=first["COUNTLESS_INGEST_QUEUE"], MessageBody="kept")
    assert storage.create(world.session, prefix="twice", visibility=storage.Visibility.all(7)) == first
    assert storage.find(world.session, prefix="twice") == first
    assert "Item" in dynamodb.get_item(TableName="twice-limits", Key={"pk": {"S": "kept"}})
    found = sqs.receive_message(QueueUrl=first["COUNTLESS_INGEST_QUEUE"])["Messages"]
    assert [message["Body"] for message in found] == ["kept"]


@pytest.mark.parametrize("queue", ["INGEST", "IMPORTS", "FOLD", "REMOVALS", "EXPORTS"])
def test_created_queues_have_what_the_definition_says(world: World, queue: str) -> None:
    """Visibility, retention and redrive of the created queues are those of the definition."""
    sqs = world.client("sqs")
    url = world.environment[f"COUNTLESS_{queue}_QUEUE"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "1"
    assert attributes["MessageRetentionPeriod"] == str(14 * 86400)
    redrive = json.loads(attributes["RedrivePolicy"])
    assert redrive["maxReceiveCount"] == 20
    assert "-parked" in redrive["deadLetterTargetArn"]


def test_every_table_lets_items_expire(world: World) -> None:
    """Time to live is on, under the attribute `expires`."""
    dynamodb = world.client("dynamodb")
    for variable in ("DOCUMENTS", "LIMITS", "LOG", "ROLLUPS"):
        name = world.environment[f"COUNTLESS_{variable}_TABLE"]
        found = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert found == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def test_cloudformation_can_create_the_definition(world: World) -> None:
    """The template of the very same resources is accepted, references and all."""
    assert world
    cloudformation = boto3.client("cloudformation", region_name="eu-west-1")
    template = {"Resources": storage.resources("stack")}
    cloudformation.create_stack(StackName="storage", TemplateBody=json.dumps(template))
    found = cloudformation.describe_stack_resources(StackName="storage")["StackResources"]
    assert {item["ResourceStatus"] for item in found} == {"CREATE_COMPLETE"}
    assert len(found) == len(template["Resources"])
