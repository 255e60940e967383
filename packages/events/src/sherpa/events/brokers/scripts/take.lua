#!lua flags=allow-oom
-- Also where memory is full: only who takes a group's role can work off what fills it.
local last = tonumber(string.match(redis.call('GET', KEYS[1]) or '', '^%d+')) or 0
local token = string.format('%d:%s', last + 1, ARGV[1])
redis.call('SET', KEYS[1], token)
return token
