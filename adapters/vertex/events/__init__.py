"""Single events: Pub/Sub topics, and the subscriptions that put them into tables."""
