"""Kinesis is moto's; streams are read on the stack's clock here."""
