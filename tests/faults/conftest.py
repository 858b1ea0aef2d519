from isthmus.tests.cli.conftest import _data, new, served, shop

__all__ = ["_data", "new", "served", "shop"]
