-- Policy of the router: what makes two AI decisions the same, and for how long.
--
-- decision has: entry_id, correlation_id, trace_id, source, symbol, side (as received), action
-- (BUY, SELL, CLOSE), confidence, model, strategy, regime, timestamp, position_size_usd, leverage.
-- Texts that are absent are "". Durations are numbers written with ms, s, min, h, d.

local policy = {}

-- The id duplicates are recognised by. "" means: the first usable of correlation id, trace id and
-- entry id, where blank, 0, null and none do not count.
--
-- A coarser id (fewer parts) drops more decisions as duplicates; a finer one lets repeats through.
-- Alternatives, true composites:
--   return decision.correlation_id .. ":" .. decision.symbol .. ":" .. decision.action
--   return decision.trace_id .. "|" .. decision.symbol .. "|" .. decision.side
--   return decision.symbol .. ":" .. decision.side      -- one per symbol and side within the TTL
function policy.dedup_id(decision)
  return ""
end

-- How long an id is remembered. More drops late repeats too, and holds back a strategy that means
-- to repeat itself under the same id; less lets a slow repeat through as a second intent.
function policy.dedup_ttl(decision)
  return 300 * s
end

policy.tests = {
  function()
    assert(policy.dedup_id({ correlation_id = "C1", trace_id = "T1", entry_id = "1-0" }) == "")
  end,
  function()
    assert(policy.dedup_ttl({}) == 5 * min)
  end,
}

return policy
