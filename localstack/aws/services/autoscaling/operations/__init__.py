"""Application Auto Scaling's operations: targets, policies, scheduled actions, activities."""
