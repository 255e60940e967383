-- One step: a consumer that is given something between the look and the deletion would lose it.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return redis.error_reply('NOGROUP')
end
local deleted = 0
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local facts = {}
  for i = 1, #consumer, 2 do facts[consumer[i]] = consumer[i + 1] end
  if facts.pending == 0 and facts.name ~= ARGV[2] then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], facts.name)
    deleted = deleted + 1
  end
end
return deleted
