"""Where the work of several devices runs."""
