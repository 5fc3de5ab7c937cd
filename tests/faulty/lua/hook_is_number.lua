return { dedup_ttl = 300 * s }
