"""CloudWatch: metrics of endpoints' variants, percentiles over all metrics, evaluated alarms.

PutMetricData, the alarms' storage, dashboards and the rest are moto's. The endpoints' metrics
(AWS/SageMaker) are late and sparse as the real ones: a minute without a call has no datapoint, and
a minute is seen ISTHMUS_STACK_METRIC_SECONDS after its end (default 60; 0 on the instant clock,
where a running minute is seen, too). A query that reaches into what is not to be seen yet says
PartialData.
"""
