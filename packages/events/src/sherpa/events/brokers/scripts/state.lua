if redis.call('EXISTS', KEYS[1]) == 0 then
  return {0, 0, false, {}}
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
return {
  redis.call('XLEN', KEYS[1]),
  redis.call('MEMORY', 'USAGE', KEYS[1]),
  first and first[1] or false, -- a nil would end the reply here
  redis.call('XINFO', 'GROUPS', KEYS[1]),
}
