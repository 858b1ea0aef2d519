"""Commands that train models and show runs and versions."""
