"""ModelRegistry: versions are immutable and numbered, aliases move, approval is noted."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from isthmus.adapters import targets
from isthmus.errors import Invalid, NotFound

pytestmark = pytest.mark.ports("registry", "blobs", "inventory")


def folder(target, digest, model="ranker"):
    """Of a version. It must be there: not every registry takes another one."""
    uri = f"{target.blobs.root}/models/{model}/{digest}"
    if not list(target.blobs.list(f"{uri}/")):
        target.blobs.put(f"{uri}/manifest.json", b"{}")
    return uri


def register(target, digest, model="ranker"):
    return target.registry.register(
        model, uri=folder(target, digest, model), digest=digest, image="ranker:1"
    )


def test_versions_are_numbered_from_one_for_each_model(target):
    assert [register(target, digest).version for digest in ("d1", "d2")] == [1, 2]
    assert register(target, "d1", model="other").version == 1
    assert [found.digest for found in target.registry.versions("ranker")] == ["d1", "d2"]


def test_a_new_version_is_pending_and_has_no_alias(target):
    made = register(target, "d1")
    assert (made.approval, made.aliases) == ("pending", frozenset())
    assert target.registry.get("ranker", 1) == made


def test_the_same_digest_gives_the_same_version(target):
    first = register(target, "d1")
    register(target, "d2")
    assert register(target, "d1") == first
    assert len(target.registry.versions("ranker")) == 2


def test_register_may_be_cut_and_repeated(target, cut):
    _ = target.registry, folder(target, "d1")
    with cut:
        register(target, "d1")
    assert register(target, "d1").version == 1
    assert len(target.registry.versions("ranker")) == 1


def test_registering_at_once_loses_and_doubles_nothing(profile, target):
    digests = [f"d{number % 5}" for number in range(20)]
    _ = target.registry

    def one(digest):
        other = targets.load(profile)
        try:
            return register(other, digest)
        finally:
            other.close()

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(one, digests))
    assert sorted(found.version for found in target.registry.versions("ranker")) == [1, 2, 3, 4, 5]
    assert {found.digest: found.version for found in made} == {
        found.digest: found.version for found in target.registry.versions("ranker")
    }


@pytest.mark.needs("registry.alias")
def test_an_alias_names_one_version_and_moves(target):
    register(target, "d1")
    register(target, "d2")
    target.registry.set_alias("ranker", "champion", 1)
    target.registry.set_alias("ranker", "champion", 2)
    assert target.registry.get("ranker", "champion").version == 2
    assert [sorted(found.aliases) for found in target.registry.versions("ranker")] == [
        [],
        ["champion"],
    ]


@pytest.mark.needs("registry.alias")
def test_a_version_may_have_two_aliases_and_lose_one(target):
    register(target, "d1")
    for alias in ("champion", "challenger"):
        target.registry.set_alias("ranker", alias, 1)
    target.registry.set_alias("ranker", "challenger", None)
    target.registry.set_alias("ranker", "challenger", None)
    assert target.registry.get("ranker", 1).aliases == {"champion"}


@pytest.mark.needs("registry.alias")
def test_moving_an_alias_may_be_cut_and_repeated(target, cut):
    register(target, "d1")
    register(target, "d2")
    target.registry.set_alias("ranker", "champion", 1)
    with cut:
        target.registry.set_alias("ranker", "champion", 2)
    assert target.registry.get("ranker", "champion").version == (2 if cut.kind == "after" else 1)
    target.registry.set_alias("ranker", "champion", 2)
    assert target.registry.get("ranker", "champion").version == 2


def test_an_alias_to_nothing_is_refused(target):
    register(target, "d1")
    with pytest.raises(NotFound, match="ranker@7"):
        target.registry.set_alias("ranker", "champion", 7)
    with pytest.raises(NotFound):
        target.registry.get("ranker", "champion")


@pytest.mark.parametrize("alias", ["default", "3", ""])
def test_an_alias_that_a_target_keeps_for_itself_is_refused(target, alias):
    register(target, "d1")
    with pytest.raises(Invalid):
        target.registry.set_alias("ranker", alias, 1)


def test_approval_is_kept_and_judged_again(target, cut):
    register(target, "d1")
    with cut:
        target.registry.set_approval("ranker", 1, "approved", "looked at the report")
    target.registry.set_approval("ranker", 1, "approved", "looked at the report")
    assert target.registry.get("ranker", 1).approval == "approved"
    target.registry.set_approval("ranker", 1, "rejected", "the leak")
    assert target.registry.get("ranker", 1).approval == "rejected"
    assert register(target, "d1").approval == "rejected"


def test_what_is_not_there_is_not_found(target):
    with pytest.raises(NotFound, match="no version of model ranker"):
        target.registry.get("ranker", 1)
    assert target.registry.versions("ranker") == ()
    with pytest.raises(NotFound):
        target.registry.set_approval("ranker", 1, "approved", "")


def test_a_registered_model_is_in_the_inventory_and_can_be_deleted(target):
    register(target, "d1")
    target.registry.set_alias("ranker", "champion", 1)
    (found,) = [each for each in target.inventory.list("conf") if each.kind == "model"]
    assert found.name == "ranker"
    target.inventory.delete(found)
    target.inventory.delete(found)
    assert target.registry.versions("ranker") == ()
    assert [each for each in target.inventory.list("conf") if each.kind == "model"] == []
