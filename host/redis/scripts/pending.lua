-- Lists entries pending in a group, oldest first.
--
-- KEYS: stream, times of the group's entries. ARGV: clock, group, count.
-- Answer: for each entry its id, consumer, delivery count, first and last delivery.

local found = call('XPENDING', KEYS[1], ARGV[2], '-', '+', ARGV[3])
local answer = {}
for i = 1, #found do
  local id, consumer, idle, deliveries = unpack(found[i])
  local first, last = string.match(call('HGET', KEYS[2], id) or '', '^(%d+) ?(%d*)$')
  local since = text_of(now - (recorded and 0 or idle))
  if not recorded or not last or last == '' then last = since end
  answer[i] = { id, consumer, deliveries, first or since, last }
end
return answer
