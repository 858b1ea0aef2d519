"""What the stacks of both clouds share: state, clock, faults, the log of calls, control, the process that serves. It knows no cloud."""
