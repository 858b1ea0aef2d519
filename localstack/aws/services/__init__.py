"""The services that the stack executes itself, a folder each; moto answers for the others."""
