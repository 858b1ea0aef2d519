"""Filters of subscriptions, as Pub/Sub's page on them writes them."""

import pytest

from isthmus_stack.gcp.services.pubsub.attribute_filter import FilterError, parse

MESSAGES = (
    {},
    {"domain": "com"},
    {"domain": "co.uk", "name": "_Z"},
    {"name": "x", "iana.org/language_tag": "en"},
)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("attributes:domain", [1, 2]),
        ("NOT attributes:domain", [0, 3]),
        ("-attributes:domain", [0, 3]),
        ('attributes:"iana.org/language_tag"', [3]),
        ('attributes.domain = "com"', [1]),
        ('attributes.domain != "com"', [0, 2, 3]),
        ('hasPrefix(attributes.domain, "co")', [1, 2]),
        ('attributes:name AND NOT attributes.name = "x"', [2]),
        ('attributes.domain = "com" OR attributes.name = "x"', [1, 3]),
        ('attributes:name AND (attributes.domain = "co.uk" OR attributes.name = "x")', [2, 3]),
    ],
)
def test_messages_are_taken_by_their_attributes(text, taken):
    predicate = parse(text)
    assert [place for place, attributes in enumerate(MESSAGES) if predicate(attributes)] == taken


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("domain", "expected 'attributes'"),
        ("attributes.domain = com", "must be quoted"),
        ('attributes.domain < "1"', "unexpected"),
        ("attributes:a AND attributes:b OR attributes:c", "need parentheses"),
        ("(attributes:a", "ends too early"),
        ("attributes:a attributes:b", "unexpected 'attributes'"),
        ("attributes:" + "a" * 256, "longer than 256 bytes"),
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(text, words):
    with pytest.raises(FilterError, match=words):
        parse(text)
