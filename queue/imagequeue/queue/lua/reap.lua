-- include: place.lua
-- reap: returns the claims of workers whose lease ran out. Several reapers may run at once: HDEL decides.
--   ARGV[3] = most claims to return in this call   ARGV[4] = result_ttl, seconds, of jobs cancelled meanwhile
-- Returns {claims returned, workers given up, 1 when more is to do}.
local most, ttl = tonumber(ARGV[3]), tonumber(ARGV[4])
local DEAD = OWN .. ':dead' -- workers given up whose claims are not all returned yet
local now = now_us()
local gone = redis.call('ZRANGEBYSCORE', WORKERS, '-inf', whole(now), 'LIMIT', 0, 100)
for _, worker in ipairs(gone) do
  redis.call('ZREM', WORKERS, worker)
  redis.call('SADD', DEAD, worker)
end
local returned = 0
for _, worker in ipairs(redis.call('SMEMBERS', DEAD)) do
  returned = returned + return_claims(worker, ttl, now, most - returned, 'iq_crashes')
  if redis.call('EXISTS', claims_key(worker)) == 1 then return {returned, #gone, 1} end
  redis.call('SREM', DEAD, worker)
  redis.call('SREM', RQ .. ':workers', RQ .. ':worker:' .. worker)
end
return {returned, #gone, 0}
