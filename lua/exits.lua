-- Policy of execution in the exit lane of pipelines/reference.yaml. Both lanes count in the same
-- windows; the reference limits entries alone, and an exit must not wait because entries came first.
-- The hooks are described in lua/execution.lua.

local function intent_age_max(intent)
  return 600 * s
end

-- The windows are those of lua/execution.lua: whichever lane opens one, it ends when that says.
local function rate_limit(symbol)
  return {
    global_max = 100000,
    global_window = 60 * s,
    symbol_max = 100000,
    symbol_window = 30 * s,
  }
end

return {
  intent_age_max = intent_age_max,
  rate_limit = rate_limit,

  tests = {
    function()
      local limit = rate_limit("BTCUSDT")
      assert(limit.symbol_max >= 1000 and limit.global_max >= 1000, "an exit waits for nobody")
    end,
  },
}
