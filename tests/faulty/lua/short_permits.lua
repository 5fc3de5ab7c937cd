return { permit_ttl = function(plan) return 100 * ms end }
