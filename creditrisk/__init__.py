"""The kernel of the credit-risk system: what batch and serving must agree on."""
