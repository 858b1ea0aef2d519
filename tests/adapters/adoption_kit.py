"""What the tests of adoption share: a project without endpoints, what `import` printed put into its
files, and a kill after each effect.
"""

from datetime import UTC, datetime, timedelta

import yaml

import isthmus
from isthmus.endpoints.deploy.adoption import adopt
from isthmus.target import CallLog

PROJECT = """
name: conf
events:
  impression: {attributes: {item_id: {type: int}}}
  click: {attributes: {impression_id: {type: string}}}
objectives:
  ctr: {rate: click / impression, within: 30m}
"""
BARE = "name: conf\n"  # a project that ranks nothing: it moves the traffic of what stands
ROLLOUT = {
    "from": "old_1",
    "to": "new",
    "steps": [{"traffic": 50, "bake": "10m"}],
    "guardrails": [{"metric": "error_rate", "max": "5%"}],
}
MODELS = (("Old-1", 1.0), ("new", 2.0))  # what stands: their names, and what they answer


def written(place, profile):
    """A project's folder whose one target, of the adapter's name, is the suite's stack."""
    place.mkdir()
    (place / "project.yaml").write_text(PROJECT)
    options = {
        name: value
        for name, value in profile.options.items()
        if name not in ("endpoint_url", "grpc_address")
    }
    options["offline"] = {"endpoint_url": profile.options["endpoint_url"]}
    (place / "profiles.yaml").write_text(yaml.safe_dump({"targets": {profile.adapter: options}}))
    return place


def add(folder, target, text):
    """What `import` printed, put into the two files that it names; and a rollout."""
    said = yaml.safe_load(text)
    for file in ("project.yaml", "profiles.yaml"):
        document = yaml.safe_load((folder / file).read_text())
        if file == "project.yaml":
            document |= {"endpoints": said["endpoints"], "rollouts": {"prod_ab": ROLLOUT}}
        else:
            document["targets"][target] |= said["targets"][target]
        (folder / file).write_text(yaml.safe_dump(document, sort_keys=False))


class Killed(BaseException):
    """As kill -9: nothing catches it."""


class Deadly(CallLog):
    """It kills after the first call that has changed something, and lets nothing be done from then
    on.

    A claim, which each try makes, kills once.
    """

    def __init__(self, before):
        super().__init__()
        self.killed_by = before
        self.before, self.after = self.refuse, self.kill
        self.dead = False

    def refuse(self, _call):
        if self.dead:
            raise Killed

    def kill(self, call):
        if (
            not call.operation.startswith("storage.")
            or (call.operation, call.resource) not in self.killed_by
        ):
            self.killed_by.append((call.operation, call.resource))
            self.dead = True
            raise Killed


def killed_after_each_effect(folder, target, native):
    """Adopt it again and again, until nobody kills; the operations that were the last ones of a
    try.

    Each try comes three minutes after the one before: a claim of who was killed stands no longer.
    """
    killed_by = []
    for tried in range(30):
        with isthmus.open(
            folder / "project.yaml", target=target, offline=True, calls=Deadly(killed_by)
        ) as project:
            project.target.clock = lambda later=timedelta(minutes=3 * tried): (
                datetime.now(UTC) + later
            )
            try:
                adopt(project, native)
            except Killed:
                continue
        return [operation for operation, _ in killed_by]
    raise AssertionError("it never ended")
