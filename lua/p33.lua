-- Policy of P3.3: how exactly ledger and exchange must agree before a plan is permitted.
--
-- Durations are numbers written with ms, s, min, h, d.

local policy = {}

-- How far ledger and exchange may differ, in per cent of the exchange's amount; never less than
-- 0.001 of the base asset. More permits plans on a position nobody can account for; less denies
-- plans over rounding.
function policy.tolerance(symbol)
  return 1
end

-- Oldest snapshot believed. More tolerates a slow exchange and acts on an older position; less
-- denies plans whenever a snapshot round is late.
policy.snapshot_age_max = 10 * s

-- Quiet time of a symbol after a fill. More keeps plans off a position that is still moving; less
-- lets plans follow each other faster.
policy.cooldown = 15 * s

-- How long the permit of a plan can be used.
function policy.permit_ttl(plan)
  return 60 * s
end

policy.tests = {
  function()
    assert(policy.tolerance("BTCUSDT") <= 5, "more than 5 % hides a lost fill")
  end,
  function()
    assert(policy.snapshot_age_max <= 60 * s, "a minute-old position is not a position")
  end,
}

return policy
