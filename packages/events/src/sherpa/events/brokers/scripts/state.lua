local bookmark = redis.call('GET', KEYS[2]) -- false where there is none
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {0, 0, false, '0-0', bookmark, {}}
end
local stream = redis.call('XINFO', 'STREAM', KEYS[1])
local facts = {}
for i = 1, #stream, 2 do facts[stream[i]] = stream[i + 1] end
return {
  facts.length,
  redis.call('MEMORY', 'USAGE', KEYS[1]),
  facts['first-entry'] or false, -- a nil would end the reply here
  facts['last-generated-id'],
  bookmark,
  redis.call('XINFO', 'GROUPS', KEYS[1]),
}
