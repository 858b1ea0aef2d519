"""Traffic that nobody sent: a simulated world drives the real gateway on a clock of its own."""
