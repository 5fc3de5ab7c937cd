-- Counters. Two kinds of window, as they are stored:
--
--   fixed    text, the total, as INCR and EXPIRE leave it; gone `length` after its start
--   sliding  sorted set, one member "<ms>:<amount>" for each millisecond, scored by that
--
-- A note in the key beside says "<kind> <length> <start> <end before>": the window's length, its
-- start, and when the window before it ended. It lives twice as long as a fixed window, so that a
-- late release is told from one of the window that counts now. A counter without a note was made by
-- somebody else, and nothing is released there.
--
-- Amounts are 64 bits wide and a number here holds 53: they stay decimal text, and none is negative.

local INFINITE = '9223372036854775807'

local function is_less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end

local function add(a, b)
  if #a < 16 and #b < 16 then return text_of(a + b) end
  local parts, carry = {}, 0
  while #a > 0 or #b > 0 or carry > 0 do
    local part = (tonumber(string.sub(a, -9)) or 0) + (tonumber(string.sub(b, -9)) or 0) + carry
    carry = part >= 1e9 and 1 or 0
    table.insert(parts, 1, format('%09.0f', part - carry * 1e9))
    a, b = string.sub(a, 1, -10), string.sub(b, 1, -10)
  end
  return (string.gsub(table.concat(parts), '^0+(%d)', '%1'))
end

-- a - b; '0' when b is more.
local function subtract(a, b)
  if is_less(a, b) then return '0' end
  if #a < 16 then return text_of(a - b) end
  local parts, borrow = {}, 0
  while #a > 0 do
    local part = tonumber(string.sub(a, -9)) - (tonumber(string.sub(b, -9)) or 0) - borrow
    borrow = part < 0 and 1 or 0
    table.insert(parts, 1, format('%09.0f', part + borrow * 1e9))
    a, b = string.sub(a, 1, -10), string.sub(b, 1, -10)
  end
  return (string.gsub(table.concat(parts), '^0+(%d)', '%1'))
end

local function is_amount(value) return value and #value < 20 and string.find(value, '^%d+$') end

-- What is stored: kind ('f', 's' or nil), total of a fixed counter, members of a sliding one (oldest
-- first, each with ms and amount), and the note: length, start, before.
local function load(counter, note)
  local stored = { total = '0', members = {} }
  local kind = call('TYPE', counter).ok
  local noted, length, start, before =
    string.match(call('GET', note) or '', '^([fs]) (%d+) (%d+) (%d+)$')
  if noted then
    stored.noted, stored.length = noted, tonumber(length)
    stored.start, stored.before = tonumber(start), tonumber(before)
  end
  if kind == 'string' then
    stored.kind, stored.total = 'f', call('GET', counter)
    -- A negative total would give room that no limit knows of.
    if not is_amount(stored.total) then stored.total = '0' end
    if not recorded then stored.ends = expires(counter) end
    if not recorded and not stored.ends then stored.kind = nil end
  elseif kind == 'zset' then
    stored.kind = 's'
    local members = call('ZRANGE', counter, 0, -1)
    for i = 1, #members do
      local ms, amount = string.match(members[i], '^(%d+):(%d+)$')
      -- A member that is none of ours takes all the room there is.
      if not ms or not is_amount(amount) then ms, amount = text_of(now), INFINITE end
      stored.members[i] = { ms = tonumber(ms), amount = amount, member = members[i] }
    end
  end
  if not stored.kind then stored.total = '0' end
  return stored
end

local function sum(members, length)
  local total = '0'
  for i = 1, #members do
    if length == 0 or now - members[i].ms < length then total = add(total, members[i].amount) end
  end
  return total
end

-- Where a fixed window began, whoever did: the server's deadline says so, and the note without one.
local function start_of(stored, length)
  if stored.ends and stored.ends > 0 then return stored.ends - length end
  return stored.noted == 'f' and stored.start or now
end

-- Total and start of the fixed window of `length` that counts now; start nil when none does.
local function as_fixed(stored, length)
  if not stored.kind then return '0' end
  local total, start = stored.total, nil
  if stored.kind == 's' then
    if #stored.members == 0 then return '0' end
    total, start = sum(stored.members, 0), stored.members[1].ms
  else
    start = start_of(stored, length)
  end
  if length > 0 and now - start >= length then return '0' end
  return total, start
end

local function as_sliding(stored)
  if stored.kind ~= 'f' then return stored.members end
  if stored.total == '0' then return {} end
  return { { ms = start_of(stored, stored.length or 0), amount = stored.total } }
end

-- What counts in a window of this kind and length.
local function count(stored, kind, length)
  if kind == 'f' then return (as_fixed(stored, length)) end
  return sum(as_sliding(stored), length)
end

-- When `excess` will have been forgotten; 0 for never by itself.
local function room_at(stored, kind, length, excess)
  if length == 0 or stored.kind ~= kind then return 0 end
  if kind == 'f' then
    local total, start = as_fixed(stored, length)
    return start and not is_less(total, excess) and start + length or 0
  end
  for i = 1, #stored.members do
    local made = stored.members[i]
    if now - made.ms < length then
      excess = subtract(excess, made.amount)
      if excess == '0' then return made.ms + length end
    end
  end
  return 0
end
