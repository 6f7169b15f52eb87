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
  local claims = redis.call('HGETALL', claims_key(worker))
  for index = 1, #claims, 2 do
    if returned >= most then return {returned, #gone, 1} end
    local id, delivery, q = claims[index], string.match(claims[index + 1], '^(%d+) (.*)$')
    if end_claim(worker, id, delivery) then
      returned = returned + 1
      local key = job_key(id)
      if redis.call('TYPE', key).ok == 'hash' then
        redis.call('HINCRBY', key, 'iq_crashes', 1)
        redis.call('HSET', key, 'worker_name', '')
        if redis.call('HEXISTS', key, 'iq_cancel') == 1 then
          redis.call('SREM', OWN .. ':cancelling', id)
          finish(q, id, 'canceled', ttl, now)
        else
          enter(q, id, hget(key, 'iq_tenant') or 'default', hget(key, 'iq_age') or whole(now), true)
        end
      end
    end
  end
  redis.call('SREM', DEAD, worker)
  redis.call('SREM', RQ .. ':workers', RQ .. ':worker:' .. worker)
end
return {returned, #gone, 0}
