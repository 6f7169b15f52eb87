-- include: ending.lua
-- retire: a worker leaves; what it still holds goes back to its lines at once.
--   ARGV[3] = worker   ARGV[4..] = names of its queues
-- Returns how many claims it still held.
local worker = ARGV[3]
local now = now_us()
drain_under_oom()
redis.call('ZREM', WORKERS, worker)
local left = return_claims(worker, now, nil)
local key = RQ .. ':worker:' .. worker
forget_worker(worker)
for index = 4, #ARGV do redis.call('SREM', RQ .. ':workers:' .. ARGV[index], key) end
if redis.call('EXISTS', key) == 1 then
  redis.call('HSET', key, 'death', iso(now))
  redis.call('EXPIRE', key, 60)
end
return left
