"""How much may leave when: limits as token buckets, warm-up schedules, quiet hours, and the forecast."""
