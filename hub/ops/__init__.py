"""Health, metrics and logs: what an operator looks at."""
