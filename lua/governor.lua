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
  -- Permits of one symbol in any five minutes: the brake on a run-away strategy. A plan above it
  -- disarms the whole pipeline (setting disarm_on_burst_breach). To close one symbol, set per_hour
  -- to 0: that only blocks.
  per_5min = 2,
  notional_per_day = 5000, -- USD of one symbol in one UTC day, where a mark price is known
  qty_per_day = "0.02", -- base asset of one symbol in one UTC day, where none is known
}

-- More lets more orders through before the day ends; less blocks plans that are perfectly sound.
-- `side` is BUY or SELL for an opening, close for everything else. Both sides are counted together,
-- so a higher limit for close keeps the way out open when openings have used up theirs.
function policy.limits(symbol, side)
  return by_symbol[symbol] or default
end

-- What no single opening may be above, whatever was permitted before. Nothing is cut down to fit:
-- an opening out of bounds is blocked.
function policy.risk_bounds(symbol, side)
  return {
    size_max = 10000, -- USD
    leverage_max = 80, -- times
    notional_max = 100000, -- USD: size times leverage
    confidence_min = 0, -- 0: no floor; above it, an opening without confidence is blocked
  }
end

-- Openings of all symbols in one UTC day.
policy.daily_trades_max = 200

-- How long the permit of a plan can be used. More survives a slow gate; less leaves less time in
-- which the world can change between permit and order.
function policy.permit_ttl(plan)
  return 60 * s
end

policy.tests = {
  function()
    for _, side in ipairs({ "BUY", "SELL", "close" }) do
      local limits = policy.limits("BTCUSDT", side)
      assert(limits.per_5min <= limits.per_hour, "the burst limit is above the hourly limit")
    end
  end,
  function()
    local bounds = policy.risk_bounds("BTCUSDT", "BUY")
    assert(bounds.size_max <= bounds.notional_max, "a size in bounds is out of bounds")
  end,
  function()
    assert(policy.permit_ttl({}) >= 1 * s, "a permit must outlive the gate's wait")
  end,
}

return policy
