"""What is written: the records, the run's file that holds them, and files that outlive a crash."""
