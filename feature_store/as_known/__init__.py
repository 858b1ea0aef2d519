"""The as-known check: whether a view's rows hold what became known only later."""
