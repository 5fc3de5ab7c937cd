-- How long an id is remembered: longer for what closes a position.
local policy = {}

function policy.ttl(entry)
  if entry.payload:find('"action":"CLOSE"', 1, true) then return 2 * h end
  return 1 * h
end

return policy
