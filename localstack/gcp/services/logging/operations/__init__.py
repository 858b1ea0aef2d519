"""LoggingServiceV2, ConfigServiceV2 and MetricsServiceV2."""
