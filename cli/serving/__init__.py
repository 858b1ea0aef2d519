"""Commands that serve models, move traffic and compare arms."""
