-- Policy of execution: when an intent is too old to be sent, and how many orders may be sent.
--
-- intent_age_max(intent) -> duration, 1 s to 1 d
--   Counted from the time the intent was made to the moment of the send. An older one ends EXPIRED
--   with reason stale_intent, and its reservations are given back.
--   intent: symbol, action, side (BUY or SELL), reduce_only, plan_id, quantity (base asset),
--   age_seconds.
--
-- rate_limit(symbol) -> table
--   global_max     orders of all symbols in one window, 0 to 100000
--   global_window  duration, 1 s to 1 d, counted from the first order in it
--   symbol_max     orders of this symbol in one window, 0 to 100000
--   symbol_window  duration, 1 s to 1 d, counted from the first order in it
--   An order that finds a window full waits for as long as its permits hold, then ends EXPIRED with
--   reason rate_limited. An order that was not executed gives its place back. Stops count as well.
--
-- Numbers: the reference system's settings (600 s; 5 in 60 s; 1 in 30 s for each symbol).
-- Durations are written with ms, s, min, h, d. A hook that fails means the order is not sent.

local function intent_age_max(intent)
  return 600 * s
end

local function rate_limit(symbol)
  return {
    global_max = 5,
    global_window = 60 * s,
    symbol_max = 1,
    symbol_window = 30 * s,
  }
end

return {
  intent_age_max = intent_age_max,
  rate_limit = rate_limit,

  -- Run before a version goes live; one that fails keeps the old version.
  tests = {
    function()
      local age = intent_age_max({ symbol = "BTCUSDT", action = "ENTRY_PROPOSED", side = "BUY" })
      assert(age == 10 * min, "an intent lives 10 minutes")
    end,
    function()
      local limit = rate_limit("BTCUSDT")
      assert(limit.symbol_max <= limit.global_max, "one symbol may not have more than all together")
      assert(limit.symbol_window <= limit.global_window, "the symbol's window is the shorter one")
    end,
  },
}
