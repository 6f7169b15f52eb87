-- include: place.lua
-- register: a worker is born. Its lease covers all its claims; whoever finds it run out may return them (reap).
--   ARGV[3] = worker   ARGV[4] = lease, microseconds   ARGV[5..] = field, value, ... for RQ's worker hash, then '--',
--   then the names of its queues
-- Returns now_us.
local worker, lease = ARGV[3], tonumber(ARGV[4])
local now = now_us()
drain_under_oom()
local key = RQ .. ':worker:' .. worker
local last = 5
while ARGV[last] ~= '--' do
  redis.call('HSET', key, ARGV[last], ARGV[last + 1])
  last = last + 2
end
redis.call('HSET', key, 'birth', iso(now), 'last_heartbeat', iso(now))
redis.call('EXPIRE', key, math.ceil(lease / 1000000) * 4 + 60)
redis.call('ZADD', WORKERS, whole(now + lease), worker)
redis.call('SADD', RQ .. ':workers', key)
for index = last + 1, #ARGV do redis.call('SADD', RQ .. ':workers:' .. ARGV[index], key) end
return whole(now)
