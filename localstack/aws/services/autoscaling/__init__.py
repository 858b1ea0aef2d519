"""Application Auto Scaling of endpoints: alarms of CloudWatch change the DesiredInstanceCount of
variants.

Its other namespaces are moto's descriptions.
"""
