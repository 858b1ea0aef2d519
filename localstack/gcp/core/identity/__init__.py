"""Who calls a stack: the keys it hands out, and the tokens and programs that it accepts."""
