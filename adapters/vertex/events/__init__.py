"""Single events: Pub/Sub topics, and the subscriptions that write them into tables."""
