"""The functions that events set off. Each module stands alone: Lambda loads it without the app."""
