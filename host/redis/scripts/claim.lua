-- Takes over pending entries: the consumer's own, or those of anybody that were idle for long.
--
-- An entry that was deleted meanwhile is acked: nobody can work on it any more.
-- The time of the first delivery is noted when an entry is delivered again, since Redis forgets it
-- then; with a recorded clock that of the last one as well.
--
-- KEYS: stream, times of the group's entries.
-- ARGV: clock, group, consumer, idle time at least, 0 for the consumer's own; id to begin behind;
--   count; bytes to stop after.
-- Answer: how many were deleted, id of the last that was looked at or '', then for each entry its
--   id, delivery count, first delivery, list of names and values.

local PIECE = 64
local stream, times = KEYS[1], KEYS[2]
local group, consumer = ARGV[2], ARGV[3]
local idle_min, after = tonumber(ARGV[4]), ARGV[5]
local left, bytes_left = tonumber(ARGV[6]), tonumber(ARGV[7])

local answer = { 0, '' }
while left > 0 and bytes_left > 0 do
  local looked = { 'XPENDING', stream, group }
  if idle_min > 0 and not recorded then
    looked[4], looked[5] = 'IDLE', ARGV[4]
  end
  looked[#looked + 1] = '(' .. after
  looked[#looked + 1] = '+'
  looked[#looked + 1] = math.min(PIECE, left)
  if idle_min == 0 then looked[#looked + 1] = consumer end
  local found = call(unpack(looked))
  if #found == 0 then break end
  for i = 1, #found do
    local id, idle, deliveries = found[i][1], found[i][3], found[i][4]
    after, answer[2] = id, id
    local first, last = string.match(call('HGET', times, id) or '', '^(%d+) ?(%d*)$')
    if recorded and last and last ~= '' then idle = now - last end
    if idle >= idle_min then
      first = first or text_of(now - idle)
      local entry = call('XCLAIM', stream, group, consumer, 0, id)[1]
      if entry and entry[2] then
        call('HSET', times, id, first .. (recorded and ' ' .. text_of(now) or ''))
        answer[#answer + 1] = { id, deliveries + 1, first, entry[2] }
        for j = 1, #entry[2] do bytes_left = bytes_left - #entry[2][j] end
        left = left - 1
      else
        call('XACK', stream, group, id)
        call('HDEL', times, id)
        answer[1] = answer[1] + 1
      end
      if left == 0 or bytes_left <= 0 then break end
    end
  end
end
return answer
