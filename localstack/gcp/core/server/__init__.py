"""The two ports of a stack: HTTP with its CONNECT door, and gRPC; faults and the log for both."""
