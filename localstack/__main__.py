"""`python -m isthmus_stack`, as the command `isthmus-stack`."""

from .command_line import main

main()
