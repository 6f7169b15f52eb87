-- include: place.lua
-- renew: the worker lives; one call for all its claims, from a thread of its own.
--   ARGV[3] = worker   ARGV[4] = lease, microseconds   ARGV[5] = state for RQ (busy, idle or suspended)
--   ARGV[6] = queues, comma separated ('' = unchanged)   ARGV[7] = what keeps it from claiming ('' = nothing)
-- Returns {1, ids whose cancellation was asked} or {0} when the worker was given up for dead: its claims are others' now.
local GRACE_US = 3000000 -- within it every living worker has renewed: at most two seconds apart, with deadlines as short
local worker, lease = ARGV[3], tonumber(ARGV[4])
local now = now_us()
drain_under_oom()
local lapsed = redis.call('ZSCORE', WORKERS, worker)
if not lapsed then return {0} end
if tonumber(lapsed) < now then
  -- Late, and nobody took the claims: the server was away, or this worker was. If it was the server, the others are late
  -- too and get half a lease to say that they live.
  redis.call('SET', OWN .. ':grace', whole(now + lease / 2), 'PX', math.ceil(lease / 1000))
end
redis.call('ZREM', WORKERS, worker)
redis.call('ZADD', WORKERS, whole(now + lease), worker)
local key = RQ .. ':worker:' .. worker
redis.call('HSET', key, 'last_heartbeat', iso(now), 'state', ARGV[5], 'iq_note', ARGV[7])
if ARGV[6] ~= '' then
  redis.call('HSET', key, 'queues', ARGV[6])
  for q in string.gmatch(ARGV[6], '[^,]+') do redis.call('SADD', RQ .. ':workers:' .. q, key) end
end
redis.call('EXPIRE', key, math.ceil(lease / 1000000) * 4 + 60)
local cancelled = {}
local asked = OWN .. ':cancelling'
if redis.call('EXISTS', asked) == 1 then
  for _, id in ipairs(redis.call('SMEMBERS', asked)) do
    if redis.call('HEXISTS', claims_key(worker), id) == 1 then cancelled[#cancelled + 1] = id end
  end
end
return {1, cancelled}
