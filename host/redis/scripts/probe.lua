-- Runs each command that the other scripts write with, and leaves nothing behind: a user without
-- the right to one learns of it at the start, not in the middle of a commit.
--
-- KEYS: a key that is not there.

-- Answer: 'ok', or the first that is denied and what the server says of it.

local key = KEYS[1]
for _, command in ipairs({
  { 'SETRANGE', key, 0, '' }, { 'SET', key, '', 'XX' }, { 'DEL', key }, { 'HDEL', key, 'a' },
  { 'PEXPIREAT', key, 1 }, { 'ZADD', key, 'XX', 0, 'a' }, { 'ZREM', key, 'a' },
  { 'XADD', key, 'NOMKSTREAM', '*', 'a', 'b' }, { 'XACK', key, 'g', '0-1' }, { 'XDEL', key, '0-1' },
  { 'XTRIM', key, 'MINID', '=', '0-1' }, { 'HSET', key, 'a', 'b' }, { 'DEL', key },
  { 'EXISTS', key }, { 'TYPE', key }, { 'PTTL', key }, { 'GET', key }, { 'HGETALL', key },
  { 'ZRANGE', key, 0, 0 },
}) do
  local done = redis.pcall(unpack(command))
  if type(done) == 'table' and done.err then
    if string.find(done.err, "can't run this command", 1, true) or string.find(done.err, 'NOPERM', 1, true) then
      return redis.error_reply('NOPERM this user has no permissions to run the ' .. command[1] .. ' command')
    end
    return done
  end
end
return 'ok'
