"""What `tilefix doctor` looks at, one file a subject; each reader takes the root of the system."""
