-- Drops old entries of a stream, never one that a group has not acked: everything below the lowest
-- id that some group still needs, a group of somebody else included.
--
-- KEYS: stream. ARGV: clock, entries to keep, '1' to pass groups.
-- Answer: how many were dropped, '1' when more is due, how many more entries there is room for.

local PIECE = 256  -- read at once to find the id to cut at: a longer script holds up the others
local stream, keep, hard = KEYS[1], tonumber(ARGV[2]), ARGV[3] == '1'
if call('TYPE', stream).ok ~= 'stream' then return { 0, '', 0 } end
local excess = call('XLEN', stream) - keep
if excess <= 0 then return { 0, '', -excess } end

local function is_before(a, b)
  return a[1] < b[1] or a[1] == b[1] and a[2] < b[2]
end
local function parse(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return { tonumber(ms), tonumber(seq) }
end

local lowest
if not hard or keep == 0 then
  for _, about in ipairs(call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #about, 2 do group[about[i]] = about[i + 1] end
    local needs
    if group['pending'] > 0 then
      needs = parse(call('XPENDING', stream, group['name'])[2])
    else
      needs = parse(group['last-delivered-id'])
      needs[2] = needs[2] + 1
    end
    if not lowest or is_before(needs, lowest) then lowest = needs end
  end
  if not lowest and keep == 0 then return { 0, '', 0 } end
end

local cut, more = lowest, ''
if keep > 0 or not cut then
  local piece = math.min(excess, PIECE)
  local found = call('XRANGE', stream, '-', '+', 'COUNT', piece + 1)
  -- Below the first that stays; the whole piece goes when the stream ends with it.
  local stays = found[piece + 1]
  local at = parse((stays or found[#found])[1])
  if not stays then at[2] = at[2] + 1 end
  if not cut or is_before(at, cut) then
    cut = at
    if excess > piece then more = '1' end
  end
end
return { call('XTRIM', stream, 'MINID', '=', format('%.0f-%.0f', cut[1], cut[2])), more, 0 }
