"""What two services of Alta Data need."""
