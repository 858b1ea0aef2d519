"""The verbs `im.features`, `im.models` and `im.runs`, each over several rooms."""
