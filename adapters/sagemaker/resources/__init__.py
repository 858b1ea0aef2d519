"""The resources of a project in its account: inventory, cost, deletion, and the SDK's objects."""
