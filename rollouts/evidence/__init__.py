"""Whether a new variant is worse: figures from minutes, verdicts of guardrails, and what they can find."""
