"""Identity: the keys that a stack hands out, and the tokens and programs that it accepts."""
