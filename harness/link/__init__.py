"""The host's conversation with the agent on a device, and the device made ready for it."""
