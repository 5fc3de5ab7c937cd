-- How many entries a group has not been given yet, by looking at them: for servers that do not
-- count, and streams with gaps.
--
-- KEYS: stream. ARGV: clock, last id delivered, most to count.

local PIECE = 256
local after, most, count = ARGV[2], tonumber(ARGV[3]), 0
while count < most do
  local found = call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', PIECE)
  count = count + #found
  if #found < PIECE then break end
  after = found[#found][1]
end
return math.min(count, most)
