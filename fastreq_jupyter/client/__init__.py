"""The doors of Python code: functions, sessions and `df.fastreq`; importing this folder alone loads nothing heavy."""
