"""The JSON Schema agrees with the loader."""

import json

import pytest
from jsonschema import Draft202012Validator

from isthmus.project.reading import yaml
from isthmus.project.schema import schema as json_schema

from . import home_shop
from .cases import CASES, F, L, P, Q
from .conftest import EXAMPLE, Folder
from .shop_cases import SHOP_CASES

DEFINITION = {P: "project", L: "model", Q: "model", F: "profiles"}

# What a schema can see in one file alone: words, keys, types, patterns. References and sums are the
# loader's.
SEEN_BY_SCHEMA = [
    "an unknown section", "an experiment with arms of its own",
    "an arm that is no attribute", "rules", "unknown routing", "an unknown key of an event",
    "a shadow without its variant", "a shadow's share without a sign",
    "an unknown key of an attribute", "no name", "a bad name", "a doubled underscore", "now without a zone", "a type that is misspelt",
    "an entity's missing key", "a rate that is none", "a duration without a unit", "a duration that is none", "no within", "a goal",
    "max_lateness", "a table of another format", "a version that is none", "explore without its sign", "no variants", "a share below zero",
    "a list where a mapping is due", "an unknown key of a model", "a model's missing trainer", "a window that is none",
    "a trainer that is no path", "an unknown gate", "a gate's single bound", "evaluate", "an unknown key of profiles",
    "an unknown key of a target", "a secret", "a secret of AWS", "an account without quotes", "a bucket of the other cloud", "a budget",
    "a count of zero", "an unknown key of a rollout", "an unknown strategy", "a step without a bake", "an unknown metric",
    "a ratio below 1", "false alarms without a sign", "no data as good", "inconclusive as good", "office hours without a zone",
    "days that are none",
    "a webhook's URL", "a tracking server that is none", "a tracking server's user", "tracking by nobody",
]  # fmt: skip


def errors(folder, file):
    schema = json_schema()
    node, _ = yaml.read((folder / file).read_text(), file)
    validator = Draft202012Validator(schema | {"$ref": f"#/$defs/{DEFINITION[file]}"})
    return [error.message for error in validator.iter_errors(yaml.plain(node))]


def test_it_is_a_schema_and_plain_json():
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("file", DEFINITION)
def test_the_example_conforms(file):
    assert errors(EXAMPLE, file) == []


def test_the_document_itself_is_the_schema_of_project_yaml():
    node, _ = yaml.read((EXAMPLE / P).read_text(), P)
    assert Draft202012Validator(json_schema()).is_valid(yaml.plain(node))


SEEN_OF_THE_SHOP = [
    "rules of no kind", "two rules in one", "a rule that multiplies by text", "a rule that multiplies by less than nothing",
    "a group of nothing", "a pin of no item", "a pin above the first place",
    "a cap of nothing", "a cap per person without a window", "a cap per response with a window",
    "a parameter without a default", "a parameter of a type that is none", "any of an attribute", "a sum of more than one thing",
    "a ratio of one total", "a ratio of a bare attribute", "a layer without an endpoint", "a holdout of thousandths", "a salt with a colon",
    "a name with a dot", "explore of an arm without its sign", "a share of thousandths", "a share without its sign",
    "targeting by nothing", "targeting by an unknown word", "a plan without an effect", "a plan of no day", "interleaving beside arms",
    "interleaving by nothing",
    "a drift without its sign", "an alarm of an unknown figure",
]  # fmt: skip


def test_the_shop_of_experiments_conforms(tmp_path):
    home_shop.write(tmp_path)
    assert errors(tmp_path, P) == []


@pytest.mark.parametrize("name", SEEN_OF_THE_SHOP)
def test_it_rejects_what_the_loader_rejects_of_experiments(tmp_path, name):
    home_shop.write(tmp_path)
    file, old, new, *_ = SHOP_CASES[name]
    Folder(tmp_path).edit(file, old, new)
    assert errors(tmp_path, file)


@pytest.mark.parametrize("name", SEEN_BY_SCHEMA)
def test_it_rejects_what_the_loader_rejects(example, name):
    file, old, new, *_ = CASES[name]
    example.edit(file, old, new)
    assert errors(example.path, file)


@pytest.mark.parametrize(
    "targets",
    [
        {"local": None},
        {"local": {}},
        {"tokyo": {"extends": "sagemaker", "region": "ap-northeast-1"}},
        {"lake": {"adapter": "databrooks", "workspace": 7}},
        {"sagemaker": {"extends": "other"}, "other": {"adapter": "sagemaker"}},
        {
            "sagemaker": {
                "bucket": "s3://${TEAM}-ranker",
                "region": "${AWS_REGION}",
                "serving": {"instance": "${MACHINE}"},
            }
        },
        {
            "sagemaker": {
                "serving": {"count": "${COUNT}"},
                "offline": {"endpoint_url": "http://127.0.0.1:1", "allow_remote": "${REMOTE}"},
            }
        },
    ],
)
def test_free_targets_conform(targets):
    validator = Draft202012Validator(json_schema() | {"$ref": "#/$defs/profiles"})
    assert validator.is_valid({"targets": targets})


def test_every_key_of_the_example_is_described_or_of_a_plain_kind():
    event = json_schema()["$defs"]["events"]
    assert event["properties"]["max_lateness"]["description"]
    assert event["required"] == ["attributes"]
