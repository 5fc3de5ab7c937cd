-- Read by every script first.
--
-- Times are milliseconds, as numbers. `ARGV[1]` is the time of a recorded clock, in microseconds as
-- a run that goes on needs it; the server's own expiry is of no use then, and deadlines are scores
-- of a sorted set. Redis keeps a key through the millisecond it expires in; for us it is gone with
-- it.

local KEYS, ARGV = KEYS, ARGV
local call, pcall, format = redis.call, redis.pcall, string.format

local recorded = ARGV[1] ~= ''
local now
if recorded then
  now = math.floor(tonumber(ARGV[1]) / 1000)
else
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function text_of(number) return format('%.0f', number) end

-- When the key expires: 0 for never, nil for a key that is not there. `expiry` is the sorted set of
-- a recorded clock.
local function expires(key, expiry)
  local deadline
  if recorded then
    if call('EXISTS', key) == 0 then return nil end
    deadline = tonumber(call('ZSCORE', expiry, key) or 0)
  elseif redis.REDIS_VERSION_NUM then
    deadline = call('PEXPIRETIME', key)
    if deadline < 0 then return deadline == -1 and 0 or nil end
  else
    local left = call('PTTL', key)
    if left < 0 then return left == -1 and 0 or nil end
    deadline = now + left
  end
  if deadline ~= 0 and deadline <= now then return nil end
  return deadline
end

-- What the key holds, appended to `answer`: nothing when it is not there, else 'text', expiry and
-- bytes, or 'fields', expiry, names and values. Another type is shown by its name.
local function describe(answer, key, expiry)
  local deadline = expires(key, expiry)
  if not deadline then return answer end
  local kind = call('TYPE', key).ok
  local n = #answer
  answer[n + 1], answer[n + 2] = kind == 'hash' and 'fields' or 'text', text_of(deadline)
  if kind == 'string' then
    answer[n + 3] = call('GET', key)
  elseif kind == 'hash' then
    local fields = call('HGETALL', key)
    for i = 1, #fields do answer[n + 2 + i] = fields[i] end
  else
    answer[n + 3] = '(' .. kind .. ')'
  end
  return answer
end
