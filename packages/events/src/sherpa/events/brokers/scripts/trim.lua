-- Deletes what lies before the oldest entry that any group, ours or not, has still to be given or to acknowledge.
local function parts(id)
  local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(sequence)
end

local function is_before(a, b)
  local a_ms, a_sequence = parts(a)
  local b_ms, b_sequence = parts(b)
  return a_ms < b_ms or (a_ms == b_ms and a_sequence < b_sequence)
end

local function next_id(id)
  local ms, sequence = parts(id)
  if sequence >= 2 ^ 53 then -- the highest there is, as far as these numbers can tell
    return string.format('%.0f-0', ms + 1)
  end
  return string.format('%.0f-%.0f', ms, sequence + 1)
end

if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local keep
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local facts = {}
  for i = 1, #group, 2 do facts[group[i]] = group[i + 1] end
  local needed = next_id(facts['last-delivered-id'])
  if facts.pending > 0 then
    local oldest = redis.call('XPENDING', KEYS[1], facts.name)[2]
    -- A group that was set back has pending entries that it will be given again.
    if is_before(oldest, needed) then needed = oldest end
  end
  if not keep or is_before(needed, keep) then keep = needed end
end
return keep and redis.call('XTRIM', KEYS[1], 'MINID', '=', keep) or 0
