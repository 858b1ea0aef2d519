"""ModelService: models and versions, uploads, evaluations."""
