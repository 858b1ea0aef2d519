"""What a project describes beside what its target has: plan, apply, status, destroy."""
