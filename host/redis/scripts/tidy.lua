-- Removes consumers that came from a host that is no more: nothing pending, and silent for long.
-- Looked at and removed in one step, as a consumer takes what it has pending with it.
--
-- KEYS: stream. ARGV: clock, group, how their names begin, the consumer that stays, idle time.
-- Answer: how many were removed.

local count = 0
for _, about in ipairs(call('XINFO', 'CONSUMERS', KEYS[1], ARGV[2])) do
  local consumer = {}
  for i = 1, #about, 2 do consumer[about[i]] = about[i + 1] end
  local name = consumer['name']
  if string.sub(name, 1, #ARGV[3]) == ARGV[3] and name ~= ARGV[4] and consumer['pending'] == 0
    and consumer['idle'] >= tonumber(ARGV[5]) then
    call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[2], name)
    count = count + 1
  end
end
return count
