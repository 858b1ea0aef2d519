"""Single events: Kinesis streams, and the Firehose that puts them into tables."""
