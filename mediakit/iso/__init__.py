"""One image: read, audit, edit, build, verify. Owns pycdlib and xorriso."""
