"""Name the five column types in a schema of MLflow."""

MLFLOW = {
    "bool": "boolean",
    "int64": "long",
    "float64": "double",
    "string": "string",
    "timestamp": "datetime",
}
