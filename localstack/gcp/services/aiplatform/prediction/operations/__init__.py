"""PredictionService over gRPC and over HTTP."""
