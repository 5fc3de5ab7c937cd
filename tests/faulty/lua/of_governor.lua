return {
  permit_ttl = function(plan) return 60 * s end,
  limits = function(symbol) return { per_hour = 3 } end,
}
