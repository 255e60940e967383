-- Returns the entries, and an id below which the group has nothing to come.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return redis.error_reply('FENCED')
end
local reply = redis.call('XREADGROUP', 'GROUP', ARGV[2], ARGV[3], 'COUNT', ARGV[4], 'STREAMS', KEYS[1], '>')
local entries = reply and reply[1][2] or {}
if #entries > 0 then
  return {entries, entries[#entries][1]}
end
-- The last id that was given out, also where the stream has been trimmed to nothing since.
local facts = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #facts, 2 do
  if facts[i] == 'last-generated-id' then
    return {entries, facts[i + 1]}
  end
end
