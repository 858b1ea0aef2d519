"""What a project has in Google's project: the inventory, what it costs, its deletion, and the SDK's own objects."""
