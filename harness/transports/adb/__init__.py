"""A device over adb."""
