-- Keeps pending entries of a consumer from being idle; delivery counts stay.
--
-- KEYS: stream. ARGV: clock, group, consumer, ids.
-- Answer: how many are still the consumer's; the others are left alone.

local stream, group, consumer = KEYS[1], ARGV[2], ARGV[3]
local renewed = 0
for i = 4, #ARGV do
  local found = call('XPENDING', stream, group, ARGV[i], ARGV[i], 1)[1]
  if found and found[2] == consumer then
    call('XCLAIM', stream, group, consumer, 0, ARGV[i], 'JUSTID')
    renewed = renewed + 1
  end
end
return renewed
