"""CloudFormation is moto's, but for the resources of SageMaker in its templates.

They are made, changed and removed by SageMaker's own API.
"""
