-- What a key holds, as `describe` says.
--
-- KEYS: key, note of the counter of that name; with a recorded clock expiry.
-- ARGV: clock; '1' to pass over counters and other types.

if ARGV[2] == '1' then
  local kind = call('TYPE', KEYS[1]).ok
  if kind ~= 'string' and kind ~= 'hash' or call('EXISTS', KEYS[2]) == 1 then return {} end
end
return describe({}, KEYS[1], KEYS[3])
