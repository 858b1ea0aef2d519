"""Loaded into a stack in the place of handlers: its clock waits a moment for a query that never
ends, not the seconds of an honest one.
"""

from isthmus_stack.aws.services.athena.queries import execution

execution._PATIENCE.update(instant=0.2, manual=0.2)
