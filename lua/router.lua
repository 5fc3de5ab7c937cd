-- Policy of the router: which AI decisions may be acted on, what makes two of them the same, for
-- how long, and how many pass in a short time.
--
-- decision has: entry_id, correlation_id, trace_id, source, symbol, side (as received), action
-- (BUY, SELL, CLOSE), confidence, model, strategy, regime, timestamp, position_size_usd, leverage.
-- Texts that are absent are "". Durations are numbers written with ms, s, min, h, d.

local policy = {}

-- Whether a text serves as an id: the router's own rule.
local function counts(text)
  local id = text:lower()
  return id ~= "" and id ~= "0" and id ~= "null" and id ~= "none"
end

-- The parts as one id; two lists of parts give one id only when they are equal part by part. ""
-- when a part does not count: decisions that lack it must not become each other's duplicates.
local function composite(...)
  local parts = { ... }
  for i, part in ipairs(parts) do
    if not counts(part) then return "" end
    parts[i] = part:gsub("%%", "%%25"):gsub("|", "%%7C")
  end
  return table.concat(parts, "|")
end

-- Ways to compose the id, from the finest to the coarsest. A coarser id (fewer parts) drops more
-- decisions as duplicates; a finer one lets repeats through.
local ids = {}

-- What others call corr||trace||entry, joined: only a delivery of the very same entry repeats it,
-- and that the host recognises anyway. Every resend becomes an intent of its own.
function ids.joined(decision)
  return composite(decision.correlation_id, decision.trace_id, decision.entry_id)
end

-- "": the first usable of correlation id, trace id and entry id, where blank, 0, null and none do
-- not count. One intent for each id, whatever the decision says.
function ids.first_usable(decision)
  return ""
end

-- One intent for each symbol and action under a correlation id, or under a trace id: for
-- strategies that send several decisions under one.
function ids.correlated(decision)
  return composite(decision.correlation_id, decision.symbol, decision.action)
end
function ids.traced(decision)
  return composite(decision.trace_id, decision.symbol, decision.action)
end

-- What was decided and when: for producers that put a fresh correlation id on every resend.
function ids.content(decision)
  return composite(decision.symbol, decision.action, decision.timestamp)
end

-- One intent for each symbol and side while an id is remembered; with a dedup_ttl of 30 s this is
-- what the reference ran for a while.
function ids.symbol_side(decision)
  return composite(decision.symbol, decision.action)
end

-- The id duplicates are recognised by: one of the above, or your own. "" is ids.first_usable, also
-- where a composite lacks a part.
policy.dedup_id = ids.first_usable

-- How long an id is remembered. More drops late repeats too, and holds back a strategy that means
-- to repeat itself under the same id; less lets a slow repeat through as a second intent.
function policy.dedup_ttl(decision)
  return 300 * s
end

-- Whether the decision may be acted on at all. The reference asks a service; here it is a rule, and
-- without one every decision may:
--   function policy.approve(decision)
--     local panic = decision.regime == "panic" and decision.action ~= "CLOSE"
--     return { approved = not panic, reason = "no openings in a panic" }
--   end

-- The safety kernel, where the stage says `safety: true`: more intents than these in one window
-- stop all of them for `cooldown`. More lets a strategy that runs away go further; less stops a busy
-- hour that is sound.
function policy.safety_limits(decision)
  return { window = 10 * s, global_max = 20, symbol_max = 5, cooldown = 300 * s }
end

local c1 = {
  correlation_id = "C1", trace_id = "T1", entry_id = "1-0", symbol = "BTCUSDT", action = "BUY",
  timestamp = "t",
}

local function changed(name, value)
  local copy = {}
  for k, v in pairs(c1) do copy[k] = v end
  copy[name] = value
  return copy
end

policy.tests = {
  function()
    assert(policy.dedup_id(c1) == "")
  end,
  function()
    assert(policy.dedup_ttl({}) == 5 * min)
  end,
  function()
    assert(ids.joined(c1) == "C1|T1|1-0")
    assert(ids.correlated(c1) == "C1|BTCUSDT|BUY")
    assert(ids.traced(c1) == "T1|BTCUSDT|BUY")
    assert(ids.content(c1) == "BTCUSDT|BUY|t")
    assert(ids.symbol_side(c1) == "BTCUSDT|BUY")
  end,
  function()
    assert(ids.content(changed("correlation_id", "C2")) == ids.content(c1), "a resend is the same")
    assert(ids.correlated(changed("action", "SELL")) ~= ids.correlated(c1))
  end,
  function()
    for _, none in ipairs({ "", "0", "null", "None" }) do
      assert(ids.correlated(changed("correlation_id", none)) == "", "falls back")
    end
  end,
  function()
    assert(composite("a|", "b") ~= composite("a", "|b"), "parts do not run into each other")
    assert(composite("a%7C", "b") ~= composite("a|", "b"))
  end,
  function()
    local limits = policy.safety_limits(c1)
    assert(limits.symbol_max <= limits.global_max, "one symbol cannot exceed all")
  end,
}

return policy
