return { dedup_tll = function(decision) return 300 * s end }
