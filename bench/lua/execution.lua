-- More orders than the bench sends.
local policy = {}

function policy.rate_limit(symbol)
  return { global_max = 100000, global_window = 1 * s, symbol_max = 100000, symbol_window = 1 * s }
end

return policy
