"""The offline store: each view's history, how far it is published, and training sets from it."""
