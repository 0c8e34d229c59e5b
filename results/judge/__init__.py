"""What a run's records are worth: statistics, verdicts, rows, the frontier."""
