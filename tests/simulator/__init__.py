"""The service in a cluster that exists in memory alone: many processes, one virtual clock, faults from a seed."""
