"""`python -m isthmus_stack`, as the command `isthmus-stack`."""

from .cli.main import main

main()
