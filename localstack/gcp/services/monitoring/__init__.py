"""Cloud Monitoring: metrics of online prediction, clients' own metrics, aligners and reducers."""
