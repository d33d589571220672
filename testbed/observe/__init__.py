"""What servers leave to be looked at: logs, metrics, batches."""
