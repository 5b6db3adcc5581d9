"""The whole system on one machine, and the generator of its sample loans."""
