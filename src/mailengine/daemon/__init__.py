"""The daemon: one process that serves, schedules and supervises, and worker processes that send."""
