"""Objects in S3: typed requests, explicit retries, conditional writes."""
