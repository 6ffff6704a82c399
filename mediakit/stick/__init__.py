"""Image → device: plan, write, read back, data partition, reports, disc burning."""
