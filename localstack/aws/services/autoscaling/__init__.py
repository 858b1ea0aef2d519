"""Application Auto Scaling of endpoints: alarms of CloudWatch change the count of variants.

Its other namespaces are moto's descriptions.
"""
