-- Enters a host among those that run a pipeline, keeps it there, or takes it out. Looked at and
-- written in one step: of two that start at once and run different things, one is refused.
--
-- KEYS: the hosts: a hash with a field 'host:<name>' for each, '<deadline> <mixed> <digest>', and a
-- field 'runs:<digest>' with what they run.
-- ARGV: '', name, length of the lease (0: take it out), mixed ('1': enter whatever others run),
-- digest, what it runs.
-- Answer: 'kept', 'entered' or 'refused'; now; then for each other living host that runs something
-- else: name, its field, what it runs.

local hosts, host, lease, mixed, digest = KEYS[1], 'host:' .. ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local living, others, texts, known, last = {}, {}, {}, false, now + lease
local all = call('HGETALL', hosts)
for i = 1, #all, 2 do
  local name, value = all[i], all[i + 1]
  if string.sub(name, 1, 5) == 'runs:' then
    texts[string.sub(name, 6)] = value
  else
    -- What cannot be read is another version's, and counts as living.
    local deadline, what = string.match(value, '^(%d+) [01] (%x+)$')
    if deadline and tonumber(deadline) <= now then
      call('HDEL', hosts, name)
    else
      last = math.max(last, tonumber(deadline or 0))
      if name == host then
        known = true
      else
        living[what or ''] = true
        if what ~= digest then others[#others + 1] = { string.sub(name, 6), value, what or '' } end
      end
    end
  end
end

local state = known and 'kept' or (#others == 0 or mixed == '1') and 'entered' or 'refused'
if lease == 0 then
  call('HDEL', hosts, host)
elseif state ~= 'refused' then
  call('HSET', hosts, host, text_of(now + lease) .. ' ' .. mixed .. ' ' .. digest)
  living[digest] = true
  if not texts[digest] then call('HSET', hosts, 'runs:' .. digest, ARGV[6]) end
  call('PEXPIREAT', hosts, text_of(last))
end

local answer = { state, text_of(now) }
for _, other in ipairs(others) do
  local n = #answer
  answer[n + 1], answer[n + 2], answer[n + 3] = other[1], other[2], texts[other[3]] or ''
end
for what in pairs(texts) do
  if not living[what] then call('HDEL', hosts, 'runs:' .. what) end
end
return answer
