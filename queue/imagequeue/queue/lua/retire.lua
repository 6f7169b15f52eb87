-- include: place.lua
-- retire: a worker that holds no claims any more leaves; with claims left its lease just runs out and reap returns them.
--   ARGV[3] = worker   ARGV[4..] = names of its queues
-- Returns how many claims it still held.
local worker = ARGV[3]
drain_under_oom()
local left = redis.call('HLEN', claims_key(worker))
local key = RQ .. ':worker:' .. worker
redis.call('SREM', RQ .. ':workers', key)
for index = 4, #ARGV do redis.call('SREM', RQ .. ':workers:' .. ARGV[index], key) end
if redis.call('EXISTS', key) == 1 then
  redis.call('HSET', key, 'death', iso(now_us()))
  redis.call('EXPIRE', key, 60)
end
if left == 0 then
  redis.call('ZREM', WORKERS, worker)
elseif redis.call('ZSCORE', WORKERS, worker) then
  redis.call('ZADD', WORKERS, '0', worker)
end
return left
