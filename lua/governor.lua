-- Policy of the governor: how much may be permitted, and how long a permit lives.
--
-- Durations are numbers written with ms, s, min, h, d. Money and quantities are exact decimals:
-- write them as text ("0.02"), whole numbers may stand bare.

local policy = {}

-- Limits that differ by symbol, for example:
--   ETHUSDT = { per_hour = 3, per_5min = 2, notional_per_day = 2000, qty_per_day = "0.5" },
local by_symbol = {}

-- The reference's conservative preset. Moderate: 5, 3, 10000. Aggressive: 10, 5, 20000.
local default = {
  per_hour = 3, -- permits of one symbol in any hour
  per_5min = 2, -- permits of one symbol in any five minutes; the brake on a run-away strategy
  notional_per_day = 5000, -- USD of one symbol in one UTC day, where a mark price is known
  qty_per_day = "0.02", -- base asset of one symbol in one UTC day, where none is known
}

-- More lets more orders through before the day ends; less blocks plans that are perfectly sound.
function policy.limits(symbol)
  return by_symbol[symbol] or default
end

-- How long the permit of a plan can be used. More survives a slow gate; less leaves less time in
-- which the world can change between permit and order.
function policy.permit_ttl(plan)
  return 60 * s
end

policy.tests = {
  function()
    local limits = policy.limits("BTCUSDT")
    assert(limits.per_5min <= limits.per_hour, "the burst limit is above the hourly limit")
  end,
  function()
    assert(policy.permit_ttl({}) >= 1 * s, "a permit must outlive the gate's wait")
  end,
}

return policy
