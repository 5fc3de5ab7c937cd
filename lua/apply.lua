-- Policy of both apply stages (apply.plan and apply.gate): waits and life times of plans.
--
-- plan has: plan_id, symbol, action, side, qty, notional, leverage and kill_score (numbers, nil
-- when absent), reduceOnly, source, trace_id. Durations are numbers written with ms, s, min, h, d.

local policy = {}

-- How long the gate waits for both permits, from the plan's first delivery. More tolerates slow
-- permits and holds later plans of the symbol up; less blocks plans whose permits come late. 0
-- lets nothing through.
function policy.permit_wait(plan)
  return 1200 * ms
end

-- How old a plan may be when the gate gets to it, for example after a stop. More lets old plans
-- act on a new market; less ends plans that waited through a short stop.
function policy.plan_age(plan)
  return 600 * s
end

-- How long a plan id is used up once it was planned for execution. More keeps a repeated proposal
-- out for longer; less lets the same proposal act again.
function policy.dedupe_ttl(plan)
  return 6 * h
end

-- How old a proposal may be when it is planned, from its last_update_epoch. The publisher refreshes
-- that every 10 s, also when nothing changed. More lets the proposal of a publisher that has stopped
-- act; less refuses proposals that waited through a short stop. proposal has: symbol, action,
-- kill_score.
function policy.proposal_age_max(proposal)
  return 120 * s
end

policy.tests = {
  function()
    local age = policy.proposal_age_max({ symbol = "BTCUSDT", action = "PARTIAL_50" })
    assert(age > 10 * s, "the publisher refreshes a proposal every 10 s")
  end,
  function()
    local wait = policy.permit_wait({ symbol = "BTCUSDT", action = "ENTRY_PROPOSED" })
    assert(wait > 0, "a gate that does not wait lets nothing through")
    assert(wait <= 60 * s)
  end,
  function()
    assert(policy.dedupe_ttl({}) >= policy.plan_age({}), "a plan must not outlive its own id")
  end,
}

return policy
