-- Policy of @name@: what makes two decisions the same, and for how long.
--
-- A decision has symbol, side, action, confidence, trace_id and more: sluice plugin describe router.

local policy = {}

-- One intent for each symbol and action within the time below. "" would take the decision's own ids.
function policy.dedup_id(decision)
  return decision.symbol .. ":" .. decision.action
end

-- More drops late repeats too; less lets a slow repeat through as a second intent.
function policy.dedup_ttl(decision)
  return 5 * min
end

-- Run before a version goes live.
policy.tests = {
  function()
    assert(policy.dedup_id({ symbol = "BTCUSDT", action = "BUY" }) == "BTCUSDT:BUY")
  end,
}

return policy
