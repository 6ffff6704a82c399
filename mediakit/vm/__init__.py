"""QEMU as a library: a spec becomes argv by a pure function; machines are driven by conditions, no sleeps."""
