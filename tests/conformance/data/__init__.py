"""The ports of tables, events and features, as every adapter keeps them."""
