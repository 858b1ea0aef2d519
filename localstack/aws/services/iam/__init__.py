"""IAM is moto's; policies are simulated here, by the evaluation that enforces them."""
