"""Run the command `isthmus-stack`: `python -m isthmus_stack`."""

from .cli.main import main

main()
