local ttl = 300 * s
