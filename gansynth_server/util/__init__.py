"""What any room may use: threads, queues, the sandboxed folder, progress."""
