-- Policy of reconcile: when a symbol is held because ledger and exchange do not agree.
--
-- Durations are numbers written with ms, s, min, h, d.

local policy = {}

-- How far ledger and exchange may differ, in per cent of the larger amount. More lets a lost fill
-- pass for rounding; less holds symbols over dust.
function policy.tolerance(symbol)
  return 1
end

-- Oldest snapshot believed. More tolerates a slow exchange and finds a drift later; less holds
-- symbols whenever a snapshot round is late.
policy.snapshot_age_max = 10 * s

-- How long a fill can still explain a difference and be booked for it. More repairs after longer
-- stops of the ledger; less leaves more to operators.
policy.evidence_window = 300 * s

-- How long a hold outlives the stage that set it; while its reason lasts it is renewed at half of
-- that. More keeps a symbol held through a longer stop of reconcile.
function policy.hold_ttl(symbol)
  return 300 * s
end

policy.tests = {
  function()
    assert(policy.tolerance("BTCUSDT") <= 5, "more than 5 % hides a lost fill")
  end,
  function()
    assert(policy.hold_ttl("BTCUSDT") >= 60 * s, "a short stop must not end a hold")
  end,
}

return policy
