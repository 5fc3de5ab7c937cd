return { dedup_ttl = "soon" }
