"""The functions that events set off: queues and schedules. Each module stands alone: Lambda loads it without the app."""
