"""The Spark job that turns landed loans into a feature snapshot."""
