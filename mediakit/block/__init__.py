"""One device: udev, exclusive open, direct I/O, partition tables. Owns pyudev and parted."""
