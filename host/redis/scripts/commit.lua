-- Applies a batch of units, each whole or not at all.
--
-- Redis does not roll back: what a script wrote before an error stays. So nothing behind the first
-- write may fail, and everything that could is looked at before:
--
--   memory, a replica, a disk that does not take writes, too few replicas, rights: Redis refuses
--     a script's first write for these and then lets the others pass. The first one is a write that
--     changes nothing, of a command that needs memory; rights are asked for by command.
--   types: of every stream, group, counter and key that is written, for the whole batch. The
--     caller has seen to it that no name is used in two ways within it.
--   ids: a stream with an id that leaves no room is refused.
--   numbers and sizes: the caller has checked them; totals are written as text, never by INCRBY.
--
-- A unit's conditions only read (but see the claim below). Its ack is its first write and the fence:
-- 1 means that the entry was pending here, and that the unit applies. A server that dies in between
-- has written nothing: what a script does reaches file and replicas as one transaction.
--
-- A batch with units that no fence guards is given a token. Their answer is kept under it, and is
-- what a second try is told.
--
-- KEYS: guard, token or guard; with a recorded clock expiry and clock; then streams, those emitted
--   to first; for each group the times of its entries; the keys written; counters, each with its
--   note; the keys that conditions look at.
-- ARGV: clock, token's life or '', streams emitted to, streams, groups, keys written, counters,
--   units; for each group the number of its stream and its name; then the units in runs of one form,
--   as most of a batch have: its number, how many units, the form when it is new, and of each unit
--   entry and values.
--     form: number of the group or 0, '1' to ack, '1' when it builds on another unit, whose number is
--       then its first value; conditions '.' effects '.', each of these a letter, a number, how many
--       fields and their names
--     conditions, numbers and values: 'c' ttl: value | 't' | 'a' | 'v': value | 'h': those of the
--       fields | 'f' or 's' length: amount limit
--     effects: 'e' stream, 'm' ttl: those of the fields | 'p' ttl: value | 'x' | 'l': amount reserved |
--       'd' stream: id
-- Answer: now, then for each unit 0 (fenced), 1 (what it builds on was not applied), the id emitted
--   when it is one, a list of the ids otherwise, or a list that begins with the number of the condition that failed and says what it met.

local guard, token = KEYS[1], KEYS[2]
if ARGV[2] ~= '' then
  local known = call('GET', token)
  if known then return cmsgpack.unpack(known) end
end

local emitted_to, streams, groups = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local written, counters, units = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local streams_at = recorded and 4 or 2
local times_at = streams_at + streams
local written_at = times_at + groups
local counters_at = written_at + written
local read_at = counters_at + 2 * counters
local expiry, clock = KEYS[3], KEYS[4]

-- Everything that could fail

local function refuse(key, kind, expected)
  return redis.error_reply(format('WRONGTYPE %s holds a %s, expected %s', key, kind, expected))
end

local now_us
if recorded then
  local kind = call('TYPE', expiry).ok
  if kind ~= 'none' and kind ~= 'zset' then return refuse(expiry, kind, 'a sorted set') end
  kind = call('TYPE', clock).ok
  if kind ~= 'none' and kind ~= 'string' then return refuse(clock, kind, 'text') end
  now_us = math.max(tonumber(ARGV[1]), tonumber(kind == 'string' and call('GET', clock) or 0) or 0)
  now = math.floor(now_us / 1000)
end

for i = streams_at + 1, streams_at + streams do
  local kind = call('TYPE', KEYS[i]).ok
  if kind ~= 'none' and kind ~= 'stream' then return refuse(KEYS[i], kind, 'a stream') end
end

-- Ids as high as nobody's clock gives them: there may be no room for one behind. XINFO would tell
-- of those that were deleted again as well, at the price of three appends; it is asked when the
-- stream is opened, and where ids are made here.
local ID_MAX = '999999999999999'
local last = {}
for i = 1, emitted_to do
  local key = KEYS[streams_at + i]
  local highest
  if recorded and call('EXISTS', key) == 1 then
    local about = call('XINFO', 'STREAM', key)
    for j = 1, #about, 2 do
      if about[j] == 'last-generated-id' then highest = about[j + 1] end
    end
    local ms, seq = string.match(highest, '^(%d+)-(%d+)$')
    last[i] = { tonumber(ms), tonumber(seq) }
    if #ms < 16 and #seq < 16 then highest = nil end
  else
    local found = call('XREVRANGE', key, '+', ID_MAX, 'COUNT', 1)
    highest, last[i] = found[1] and found[1][1], { 0, 0 }
  end
  if highest then
    return redis.error_reply(format('ERR %s has no room for ids behind %s', key, highest))
  end
end

local group_stream, group_name, times = {}, {}, {}
local a = 8
for i = 1, groups do
  group_stream[i], group_name[i] = KEYS[streams_at + ARGV[a + 1]], ARGV[a + 2]
  a = a + 2
  local looked = pcall('XPENDING', group_stream[i], group_name[i], '0-1', '0-1', 1)
  if looked.err then return looked end
  local key = KEYS[times_at + i]
  local kind = call('TYPE', key).ok
  if kind == 'hash' then times[i] = key
  elseif kind ~= 'none' then return refuse(key, kind, 'fields') end
end

for i = written_at + 1, written_at + written do
  local kind = call('TYPE', KEYS[i]).ok
  if kind ~= 'none' and kind ~= 'string' and kind ~= 'hash' then
    return refuse(KEYS[i], kind, 'text or fields')
  end
end

for i = counters_at + 1, read_at, 2 do
  local key, note = KEYS[i], KEYS[i + 1]
  local kind = call('TYPE', key).ok
  if kind ~= 'none' and kind ~= 'string' and kind ~= 'zset' then return refuse(key, kind, 'a counter') end
  if kind == 'string' and not string.find(call('GET', key), '^-?%d+$') then
    return refuse(key, 'text', 'a counter')
  end
  kind = call('TYPE', note).ok
  if kind ~= 'none' and kind ~= 'string' then return refuse(note, kind, 'text') end
end

-- Rights of the user, by command; those to the keys were asked for with the script itself. What was
-- called above is known to be allowed. Redis 6.2 has no such question: rights are tried when a store
-- is opened, and must stay.
if redis.acl_check_cmd then
  local may, stream = redis.acl_check_cmd, KEYS[streams_at + 1]
  local reads = #KEYS > read_at or counters > 0
  local denied = groups > 0 and not may('XACK', stream, 'g', '0-1') and 'XACK'
    or emitted_to > 0 and not may('XADD', stream, '*', 'a', 'b') and 'XADD'
    or streams > 0 and
      (not may('XDEL', stream, '0-1') and 'XDEL' or not may('XINFO', 'GROUPS', stream) and 'XINFO')
    or not may('SET', guard, '') and 'SET'
    or not may('DEL', guard) and 'DEL'
    or reads and (not may('EXISTS', guard) and 'EXISTS' or not may('GET', guard) and 'GET'
      or not may('PTTL', guard) and 'PTTL' or not may('PEXPIRETIME', guard) and 'PEXPIRETIME'
      or not may('HGETALL', guard) and 'HGETALL' or not may('TYPE', guard) and 'TYPE')
    or (recorded or counters > 0) and (not may('ZADD', guard, '0', 'a') and 'ZADD'
      or not may('ZREM', guard, 'a') and 'ZREM' or not may('ZSCORE', guard, 'a') and 'ZSCORE'
      or not may('ZRANGE', guard, '0', '1') and 'ZRANGE'
      or not may('ZRANGEBYSCORE', guard, '0', '1') and 'ZRANGEBYSCORE')
    or (written > 0 or counters > 0) and (not may('HSET', guard, 'a', 'b') and 'HSET'
      or not may('PEXPIREAT', guard, '1') and 'PEXPIREAT')
    or next(times) and not may('HDEL', guard, 'a') and 'HDEL'
  if denied then
    return redis.error_reply('NOPERM this user has no permissions to run the ' .. denied .. ' command')
  end
end

call('SETRANGE', guard, 0, '')

-- Writing

local function forget(key)
  call('DEL', key)
  if recorded then call('ZREM', expiry, key) end
end

local function expire_at(key, deadline)
  if recorded then call('ZADD', expiry, text_of(deadline), key)
  else call('PEXPIREAT', key, text_of(deadline)) end
end

-- The deadline of this time to live as text: mostly the same for all units.
local deadlines = {}
local function deadline_of(ttl)
  local known = deadlines[ttl]
  if not known then
    known = text_of(now + ttl)
    deadlines[ttl] = known
  end
  return known
end

local function set(key, value, ttl)
  if recorded then
    call('SET', key, value)
    if ttl == 0 then call('ZREM', expiry, key) else expire_at(key, now + ttl) end
  elseif ttl == 0 then
    call('SET', key, value)
  else
    call('SET', key, value, 'PXAT', deadline_of(ttl))
  end
end

local UNPACK_MAX = 2000  -- arguments; the Lua stack of Redis ends at 8,000

-- `fields`: names and values in turn.
local function set_fields(key, ttl, fields)
  forget(key)
  for i = 1, #fields, UNPACK_MAX do
    call('HSET', key, unpack(fields, i, math.min(i + UNPACK_MAX - 1, #fields)))
  end
  if ttl > 0 then expire_at(key, now + ttl) end
end

local function note_down(note, kind, length, start, before, life)
  set(note, format('%s %.0f %.0f %.0f', kind, length, start, before),
    life > 0 and math.max(start + life - now, 1) or 0)
end

local function reserve(counter, note, kind, amount, length)
  if amount == '0' then return end
  local stored = load(counter, note)
  if kind == 'f' then
    local total, start = as_fixed(stored, length)
    local before = stored.before or 0
    if not start then
      before = now - length
      if stored.noted == 'f' then before = stored.start + stored.length end
      start = now
    end
    set(counter, add(total, amount), length > 0 and start + length - now or 0)
    note_down(note, 'f', length, start, math.max(before, 0), 2 * length)
    return
  end
  local members = as_sliding(stored)
  if stored.kind == 'f' then
    forget(counter)
    if members[1] then
      call('ZADD', counter, text_of(members[1].ms), text_of(members[1].ms) .. ':' .. members[1].amount)
    end
  end
  local newest = members[#members]
  for i = 1, #members do
    local old = members[i].member
    if old and length > 0 and now - members[i].ms >= length then call('ZREM', counter, old) end
  end
  if newest and newest.ms == now then
    call('ZREM', counter, newest.member or (text_of(now) .. ':' .. newest.amount))
    amount = add(newest.amount, amount)
  end
  call('ZADD', counter, text_of(now), text_of(now) .. ':' .. amount)
  if length > 0 then expire_at(counter, now + length) end
  note_down(note, 's', length, now, 0, length)
end

local function release(counter, note, amount, reserved)
  local stored = load(counter, note)
  if not stored.kind or not stored.noted or stored.kind ~= stored.noted then return end
  if stored.length > 0 and now - reserved >= stored.length then return end
  if stored.kind == 'f' then
    local total, start = as_fixed(stored, stored.length)
    -- A start that is not the noted one: somebody else began a window after ours had ended.
    local before = stored.before
    if start and start - stored.start > 50 then before = stored.start + stored.length end
    if not start or reserved < before then return end
    local left = stored.length > 0 and start + stored.length - now or 0
    set(counter, subtract(total, amount), left)
    return
  end
  for i = 1, #stored.members do
    local made = stored.members[i]
    if made.ms >= reserved and amount ~= '0' then
      local left = subtract(made.amount, amount)
      amount = subtract(amount, made.amount)
      -- In this order: without a member the key is gone, and its deadline with it.
      if left ~= '0' then
        call('ZADD', counter, text_of(made.ms), text_of(made.ms) .. ':' .. left)
      end
      call('ZREM', counter, made.member)
    end
  end
end

local function emit(index, fields)
  local key = KEYS[streams_at + index]
  if not recorded then return call('XADD', key, '*', unpack(fields)) end
  local before = last[index]
  if now > before[1] then before[1], before[2] = now, 0 else before[2] = before[2] + 1 end
  return call('XADD', key, format('%.0f-%.0f', before[1], before[2]), unpack(fields))
end

local function remove(index, entry)
  local key = KEYS[streams_at + index]
  if call('TYPE', key).ok ~= 'stream' or call('XDEL', key, entry) == 0 then return end
  local known = call('XINFO', 'GROUPS', key)
  for i = 1, #known do call('XACK', key, known[i][2], entry) end
end

-- What is due under a recorded clock goes first; it is gone for everybody already.
if recorded then
  call('SET', clock, text_of(now_us))
  local due = call('ZRANGEBYSCORE', expiry, '-inf', text_of(now))
  for i = 1, #due do forget(due[i]) end
end

-- Conditions

local function equals_fields(key, fields)
  local shown, distinct = {}, 0
  for i = 1, #fields, 2 do
    if not shown[fields[i]] then distinct = distinct + 1 end
    shown[fields[i]] = fields[i + 1]
  end
  local held = call('HGETALL', key)
  if #held ~= 2 * distinct then return false end
  for i = 1, #held, 2 do
    if shown[held[i]] ~= held[i + 1] then return false end
  end
  return true
end

-- Forms

-- How many values a part takes, by its letter; those with fields take one for each.
local VALUES = { c = 1, v = 1, f = 2, s = 2, p = 1, l = 2, d = 1 }

-- Conditions or effects, as they stand behind `at`; and where they end.
local function read_parts(at)
  local parts = {}
  while ARGV[at + 1] ~= '.' do
    local fields = tonumber(ARGV[at + 3])
    local part = { kind = ARGV[at + 1], number = tonumber(ARGV[at + 2]), fields = {} }
    part.values = fields > 0 and fields or VALUES[part.kind] or 0
    for i = 1, fields do part.fields[2 * i - 1] = ARGV[at + 3 + i] end
    parts[#parts + 1] = part
    at = at + 3 + fields
  end
  return parts, at + 1
end

local function read_form(at)
  local form = { group = tonumber(ARGV[at + 1]), acks = ARGV[at + 2] == '1', builds = ARGV[at + 3] == '1' }
  form.conditions, at = read_parts(at + 3)
  form.effects, at = read_parts(at)
  -- The most frequent unit by far has one claim: that is looked at and set in one step, and taken
  -- back when the fence does not hold.
  form.claims = not recorded and #form.conditions == 1 and form.conditions[1].kind == 'c'
  local emits = 0
  for i = 1, #form.effects do emits = emits + (form.effects[i].kind == 'e' and 1 or 0) end
  form.emits_one = emits == 1
  return form, at
end

-- Names of the part with the values behind `at`, until it is called again.
local function fields_of(part, at)
  local fields = part.fields
  for i = 1, part.values do fields[2 * i] = ARGV[at + i] end
  return fields
end

-- Units

local answer, applied = { now }, {}
local w, c, r = written_at, counters_at, read_at

-- Whether the conditions hold; if not, which one and what it met. Their values are behind `at`, and
-- counters and keys behind `c` and `r`.
local function check(conditions, at, c, r)
  local sums = {}
  for index = 1, #conditions do
    local part = conditions[index]
    local kind = part.kind
    if kind == 'f' or kind == 's' then
      local counter, length = KEYS[c + 1], part.number
      local amount, limit = ARGV[at + 1], ARGV[at + 2]
      local stored = load(counter, KEYS[c + 2])
      local met = count(stored, kind, length)
      local fits = string.byte(amount) ~= 45
      local total = fits and add(sums[counter] or met, amount)
      fits = fits and #total < 20 and not is_less(INFINITE, total)
      if not fits or string.byte(limit) == 45 or is_less(limit, total) then
        local excess = string.byte(limit) == 45 and INFINITE or fits and subtract(total, limit)
        return { index, 'count', met, text_of(excess and room_at(stored, kind, length, excess) or 0) }
      end
      sums[counter] = total
      c = c + 2
    else
      r = r + 1
      local key, held = KEYS[r], nil
      if kind == 'c' then
        held = call('EXISTS', key) == 0 or not expires(key, expiry)
      elseif kind == 't' then
        local holds = call('TYPE', key).ok
        held = (holds == 'string' or holds == 'hash') and expires(key, expiry) ~= nil
      elseif kind == 'a' then
        held = not expires(key, expiry)
      elseif kind == 'v' then
        held = call('TYPE', key).ok == 'string' and expires(key, expiry) and call('GET', key) == ARGV[at + 1]
      else
        held = call('TYPE', key).ok == 'hash' and expires(key, expiry)
          and equals_fields(key, fields_of(part, at))
      end
      if not held then return describe({ index }, key, expiry) end
    end
    at = at + part.values
  end
end

-- What the conditions change when they hold. Returns where values, counters and keys go on.
local function take(conditions, applies, at, c, r)
  for index = 1, #conditions do
    local part = conditions[index]
    local kind = part.kind
    if kind == 'f' or kind == 's' then
      if applies then reserve(KEYS[c + 1], KEYS[c + 2], kind, ARGV[at + 1], part.number) end
      c = c + 2
    else
      r = r + 1
      if not applies then -- nothing
      elseif kind == 'c' then set(KEYS[r], ARGV[at + 1], part.number)
      elseif kind == 't' then forget(KEYS[r]) end
    end
    at = at + part.values
  end
  return at, c, r
end

-- What the answer says of the unit, and whether it was applied.
local function unit_of(form)
  local group, entry, conditions, effects = form.group, ARGV[a + 1], form.conditions, form.effects
  a = a + 1
  local behind = false
  if form.builds then
    behind = not applied[tonumber(ARGV[a + 1])]
    a = a + 1
  end
  local claimed, failed
  if behind then -- its conditions say nothing yet
  elseif form.claims then
    local ttl = conditions[1].number
    if ttl == 0 then claimed = call('SET', KEYS[r + 1], ARGV[a + 1], 'NX')
    else claimed = call('SET', KEYS[r + 1], ARGV[a + 1], 'PXAT', deadline_of(ttl), 'NX') end
  end
  if not claimed and not behind then failed = check(conditions, a, c, r) end

  local applies = not failed and not behind
  if group > 0 then
    local stream, name = group_stream[group], group_name[group]
    if applies and form.acks then
      applies = call('XACK', stream, name, entry) == 1
      if applies and times[group] then call('HDEL', times[group], entry) end
    else
      local pending = #call('XPENDING', stream, name, entry, entry, 1) == 1
      applies = applies and pending
      if not pending then failed, behind = nil, false end
    end
    if claimed and not applies then call('DEL', KEYS[r + 1]) end
  end

  if claimed then a, r = a + 1, r + 1 else a, c, r = take(conditions, applies, a, c, r) end

  local ids = not form.emits_one and {} or nil
  for index = 1, #effects do
    local part = effects[index]
    local kind = part.kind
    if kind == 'e' then
      if applies then
        local id = emit(part.number, fields_of(part, a))
        if ids then ids[#ids + 1] = id else ids = id end
      end
    elseif kind == 'l' then
      if applies then release(KEYS[c + 1], KEYS[c + 2], ARGV[a + 1], tonumber(ARGV[a + 2])) end
      c = c + 2
    elseif kind == 'd' then
      if applies then remove(part.number, ARGV[a + 1]) end
    else
      w = w + 1
      if not applies then -- nothing
      elseif kind == 'p' then set(KEYS[w], ARGV[a + 1], part.number)
      elseif kind == 'm' then set_fields(KEYS[w], part.number, fields_of(part, a))
      else forget(KEYS[w]) end
    end
    a = a + part.values
  end
  return applies and ids or failed or behind and 1 or 0, applies
end

local forms, unit = {}, 0
while unit < units do
  local number, count = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  a = a + 2
  if not forms[number] then forms[number], a = read_form(a) end
  local form = forms[number]
  for _ = 1, count do
    unit = unit + 1
    answer[unit + 1], applied[unit] = unit_of(form)
  end
end

if ARGV[2] ~= '' then call('SET', token, cmsgpack.pack(answer), 'PX', ARGV[2]) end
return answer
