"""Whether a new variant is worse: figures from minutes, and the verdicts of guardrails."""
