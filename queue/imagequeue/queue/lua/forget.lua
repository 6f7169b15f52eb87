-- include: place.lua
-- forget: ended jobs whose time is over leave RQ's registries; their hashes expire by themselves.
--   ARGV[3] = most entries   ARGV[4..] = queues
-- A score below 0 is RQ's own word for a job that is kept for ever.
-- Returns how many were taken off.
local left, now = tonumber(ARGV[3]), now_us()
local forgotten = 0
for index = 4, #ARGV do
  for _, registry in ipairs({'finished', 'failed', 'canceled'}) do
    local key = registry_key(registry, ARGV[index])
    local over = redis.call('ZRANGEBYSCORE', key, '0', whole(math.floor(now / 1000000)), 'LIMIT', 0, left - forgotten)
    if #over > 0 then forgotten = forgotten + redis.call('ZREM', key, unpack(over)) end
  end
end
return forgotten
