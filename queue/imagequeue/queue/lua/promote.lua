-- include: flight.lua
-- promote: jobs whose time has come go back to their lines.
--   ARGV[3] = most jobs   ARGV[4..] = queues
-- Returns {jobs moved, microseconds until the next is due (-1 = none)}.
local most = tonumber(ARGV[3])
local now = now_us()
local moved, next_due = 0, -1
drain_under_oom()
for index = 4, #ARGV do
  local q = ARGV[index]
  local registry = registry_key('scheduled', q)
  local due = redis.call('ZRANGEBYSCORE', registry, '-inf', string.format('%.6f', now / 1000000), 'LIMIT', 0, most - moved)
  for _, id in ipairs(due) do
    redis.call('ZREM', registry, id)
    if status_of(id) == 'scheduled' then
      local key = job_key(id)
      ready(q, id, hget(key, 'iq_tenant') or 'default', age_of(key, now), true)
      moved = moved + 1
    end
  end
  local first = redis.call('ZRANGE', registry, 0, 0, 'WITHSCORES')
  if first[2] then
    local left = math.max(tonumber(first[2]) * 1000000 - now, 0)
    if next_due < 0 or left < next_due then next_due = left end
  end
end
return {moved, whole(next_due)}
