-- include: place.lua
-- tenant: holds a tenant's jobs back, or releases them. Held jobs keep their places on RQ's lists and in their lines.
--   ARGV[3] = hold or release   ARGV[4] = tenant   ARGV[5] = why, JSON (hold)   ARGV[6..] = queues
local act, tenant = ARGV[3], ARGV[4]
drain_under_oom()
if act == 'hold' then
  redis.call('HSET', HELD, tenant, ARGV[5])
  for index = 6, #ARGV do redis.call('ZREM', tenants_key(ARGV[index]), tenant) end
else
  redis.call('HDEL', HELD, tenant)
  for index = 6, #ARGV do
    local q = ARGV[index]
    if redis.call('EXISTS', line_key(q, tenant)) == 1 and not redis.call('ZSCORE', tenants_key(q), tenant) then
      redis.call('ZADD', tenants_key(q), redis.call('HGET', meta_key(q), 'vtime') or '0', tenant)
    end
  end
end
return 1
