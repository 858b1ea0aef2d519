"""What a project has in its account: the inventory, what it costs, its deletion, and the SDK's own objects."""
