"""The tagging API over moto's services and SageMaker's."""
