-- Policy of router.collect and router.select: how many decisions of a short window become intents,
-- and which.
--
-- Durations are numbers written with ms, s, min, h, d.

local policy = {}

-- How long candidates are gathered. More finds better ones and acts later.
policy.window = 3 * s

-- A window with so many candidates ends at once. More compares more of a burst.
policy.candidates_max = 10

-- How old a candidate may be when its window is decided on, for example after a stop. Above the
-- window, or the first candidate of each window is lost.
policy.candidate_age = 6 * s

-- Below `min` a decision is no candidate. From `super` on one may exceed the target of orders.
policy.confidence = { min = 0.75, super = 0.90 }

-- How many orders may be open. From the target on only windows with a super candidate add one; at
-- the maximum none does. A count of open orders that nobody can read means none, too.
policy.capacity = { max_open_orders = 10, target_open_orders = 3, new_per_window_max = 2 }

-- The score is the confidence and these.
policy.score_bonus = { rl_gate = 0.02, regime = 0.01 }

-- How much larger the best candidate (from super confidence on) and the second best are made.
policy.size_factors = { first = "1.30", second = "1.10", second_confidence = 0.85 }

policy.tests = {
  function()
    assert(policy.candidate_age > policy.window, "the first candidate of each window is lost")
  end,
  function()
    local capacity = policy.capacity
    assert(capacity.target_open_orders <= capacity.max_open_orders)
    assert(policy.confidence.min <= policy.confidence.super)
  end,
}

return policy
