"""CloudFormation is moto's.

The resources of SageMaker in its templates are made, changed and removed by SageMaker's own API.
"""
