"""How the default regressors' heads are made: readings of people, simulated readings, training."""
