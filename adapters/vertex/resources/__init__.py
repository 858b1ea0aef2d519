"""The resources of a project at Google: inventory, cost, deletion, and the SDK's objects."""
