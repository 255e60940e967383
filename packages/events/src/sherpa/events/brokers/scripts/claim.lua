-- Returns the entries, and the ids of those that are no more: the server takes these off the pending ones.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return redis.error_reply('FENCED')
end
local reply = redis.call('XAUTOCLAIM', KEYS[1], ARGV[2], ARGV[3], 0, '(' .. ARGV[5], 'COUNT', ARGV[4])
return {reply[2], reply[3]}
