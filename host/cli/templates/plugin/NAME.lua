-- Policy of @name@: how long an id is remembered. Durations are numbers written with ms, s, min, h, d.

local policy = {}

-- More refuses later repeats too; less keeps fewer keys and lets a slow repeat through.
function policy.window(id)
  return 60 * s
end

policy.tests = {
  function()
    assert(policy.window("a") >= 10 * s, "a sender repeats itself for up to 10 s")
  end,
}

return policy
