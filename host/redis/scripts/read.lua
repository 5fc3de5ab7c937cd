-- Reads on for a group under a recorded clock, which notes when what was delivered.
--
-- KEYS: stream, times of the group's entries. ARGV: clock, group, consumer, count.
-- Answer: as XREADGROUP.

local found = call('XREADGROUP', 'GROUP', ARGV[2], ARGV[3], 'COUNT', ARGV[4], 'STREAMS', KEYS[1], '>')
if found then
  for _, entry in ipairs(found[1][2]) do
    call('HSET', KEYS[2], entry[1], text_of(now) .. ' ' .. text_of(now))
  end
end
return found
