-- Policy of router.intake: how long other producers may write trade intents of an older form.
--
-- intent has: entry_id, source (of the envelope), symbol, side.

local policy = {}

-- UTC date from whose first moment on `side` no longer stands for `action`. A later one for a single
-- producer gives that one time:
--   if intent.source == "harvest_brain" then return "2026-03-31" end
function policy.side_until(intent)
  return "2026-02-20"
end

policy.tests = {
  function()
    assert(policy.side_until({ source = "ai_engine" }):match("^%d%d%d%d%-%d%d%-%d%d$"), "a date")
  end,
}

return policy
