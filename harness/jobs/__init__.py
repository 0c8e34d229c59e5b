"""The host's side of what the agent can do: one file a job, with its request, the grammar of its events, its record."""
