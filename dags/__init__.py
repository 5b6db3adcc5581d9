"""When each part runs, and where an operator looks."""
