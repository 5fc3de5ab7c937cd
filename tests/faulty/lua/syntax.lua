return { dedup_ttl = function(decision return 300 * s end }
