"""The best settings of a model at the cost of one encoding, chosen on queries that do not test them."""
