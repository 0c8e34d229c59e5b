"""Taking the user's own files into the store. Runs in a worker."""
