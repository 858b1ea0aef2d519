"""An AWS that executes, on this machine: our handlers before moto's server.

`python -m isthmus_stack.aws`.
"""
