"""The machine that failed: real readings, told as they come."""
