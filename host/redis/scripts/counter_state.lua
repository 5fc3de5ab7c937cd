-- All there is of a counter, for a mirror.
--
-- KEYS: counter, note; with a recorded clock expiry. ARGV: clock.
-- Answer: nothing when nothing counts and no late release could be told; 'other' and its type for
--   what somebody else made; else kind and length, and of a fixed one '1' when its window is open,
--   total, start and end of the window before; of a sliding one times and amounts, oldest first.

local kind = call('TYPE', KEYS[1]).ok
local stored = load(KEYS[1], KEYS[2])
if not stored.noted then
  if kind == 'string' or kind == 'zset' then return { 'other', kind } end
  return {}
end
if recorded and stored.kind and not expires(KEYS[1], KEYS[3]) then stored.kind = nil end
if stored.kind and stored.kind ~= stored.noted then return { 'other', kind } end

local length = stored.length
if stored.noted == 's' then
  local answer = { 's', text_of(length) }
  for i = 1, #stored.members do
    local made = stored.members[i]
    if stored.kind and (length == 0 or now - made.ms < length) then
      answer[#answer + 1] = text_of(made.ms)
      answer[#answer + 1] = made.amount
    end
  end
  return answer[3] and answer or {}
end

local total, start = as_fixed(stored, length)
if start then
  -- As in a release: somebody else began a window after ours had ended.
  local before = stored.before
  if start - stored.start > 50 then before = stored.start + length end
  return { 'f', text_of(length), '1', total, text_of(start), text_of(before) }
end
if length == 0 or now - stored.start >= 2 * length then return {} end
return { 'f', text_of(length), '0', '0', text_of(stored.start), '0' }
