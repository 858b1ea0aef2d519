"""The rules of an event's values, for one value and for a chunk of rows."""
