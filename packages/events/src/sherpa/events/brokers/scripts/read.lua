-- Returns the entries, and the id after which the group's next one will be.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return redis.error_reply('FENCED')
end
local reply = redis.call('XREADGROUP', 'GROUP', ARGV[2], ARGV[3], 'COUNT', ARGV[4], 'STREAMS', KEYS[1], '>')
local entries = reply and reply[1][2] or {}
local last = entries[#entries] or redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return {entries, last and last[1] or '0-0'}
