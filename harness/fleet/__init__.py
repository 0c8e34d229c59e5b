"""Which devices there are: devices.toml, and who on this machine has one."""
