-- What counts in a counter now, in the window it was reserved with.
--
-- KEYS: counter, note; with a recorded clock expiry. ARGV: clock.

local kind = call('TYPE', KEYS[1]).ok
if kind ~= 'string' and kind ~= 'zset' then return '0' end
if recorded and not expires(KEYS[1], KEYS[3]) then return '0' end
local stored = load(KEYS[1], KEYS[2])
return count(stored, stored.kind, stored.length or 0)
