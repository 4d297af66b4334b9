"""Where files lie: folders, buckets and the hub, read and written alike; knows no model."""
