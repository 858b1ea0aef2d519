"""Single events: Kinesis streams, and the Firehose that writes them into tables."""
